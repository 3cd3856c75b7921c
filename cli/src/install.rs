//! `gitmoor install`: what a cluster needs, as YAML for `kubectl apply`.

use clap::Args;

/// Prints what a cluster needs: the resource's definition, the agent's rights, and the agent.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gitmoor install | kubectl apply --server-side -f -
  gitmoor install --without-deployment | kubectl apply --server-side -f -")]
pub(crate) struct Install {
    /// The image of the agent and its operators.
    #[arg(long, value_name = "IMAGE", default_value = concat!("gitmoor:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Leave the agent's Deployment out: the agent runs elsewhere, as on your own machine.
    #[arg(long)]
    without_deployment: bool,
}

pub(crate) fn run(arguments: &Install) -> anyhow::Result<String> {
    let documents = gitmoor_agent::INSTALLATION.split("\n---\n");
    let documents: Vec<_> = documents
        .filter(|document| {
            !arguments.without_deployment
                || !document.lines().any(|line| line == "kind: Deployment")
        })
        .collect();
    let shipped = concat!("image: gitmoor:", env!("CARGO_PKG_VERSION"));
    let agent = documents.join("\n---\n");
    anyhow::ensure!(
        arguments.without_deployment || agent.contains(shipped),
        "the Deployment of the agent names no image"
    );
    let image = format!("image: {}", arguments.image);
    Ok(format!(
        "{}---\n{}",
        gitmoor_crds::definition_yaml(),
        agent.replace(shipped, &image)
    ))
}
