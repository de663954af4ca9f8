//! XenServer and XCP-ng, over XAPI's JSON-RPC endpoint.
