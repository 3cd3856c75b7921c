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
    mod without_arm;
}
