// Node-RED without its editor, for one flow. Ports and folders come from the environment.
module.exports = {
    flowFile: __dirname + "/flows.json",
    flowFilePretty: true,
    // Nothing in the flow is secret.
    credentialSecret: false,
    httpAdminRoot: false,
    httpNodeRoot: false,
    disableEditor: true,
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.UI_PORT),
    // What function nodes ask for must be installed already: `npm ci`.
    functionExternalModules: true,
    externalModules: { autoInstall: false, palette: { allowInstall: false }, modules: { allowInstall: false } },
    telemetry: { enabled: false },
    logging: { console: { level: "info", metrics: false, audit: false } },
    contextStorage: { default: { module: "memory" } },
};
