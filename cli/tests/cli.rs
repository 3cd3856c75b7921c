//! The program as people and Kubernetes start it.

#[cfg(test)]
mod cli {
    mod check;
    mod command_line;
    mod health;
    mod logs;
    mod metrics;
    mod program;
    mod reload;
    mod services;
    #[cfg(feature = "opentelemetry")]
    mod traces;
    mod without_arm;
}
