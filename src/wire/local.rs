//! Ways of running commands here.
