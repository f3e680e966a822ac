// Node-RED without an editor: one flow file, quiet log, the port from the environment.
module.exports = {
  uiPort: process.env.PORT,
  uiHost: "127.0.0.1",
  httpAdminRoot: false,
  flowFile: __dirname + "/flows.json",
  credentialSecret: false,
  logging: { console: { level: "warn" } },
  apiMaxLength: "16mb",
};
