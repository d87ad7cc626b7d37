//! The experiment file: TOML and flags become each module's options. Only `cli` imports this.
