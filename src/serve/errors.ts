/** Errors that stop the start of a server; docs/errors.md is generated from tables like this. */
export const START_ERRORS = {
  CLI_PORT_TAKEN: {
    means:
      'The server cannot listen at an address: another process holds the port, or the host is not one of this machine.',
    fix: 'Stop the other process, or choose another address with the option of that address (--grpc, --http, --admin, --xds, GRPC_PORT ...).',
  },
  CLI_TLS_FILE: {
    means: 'A certificate or key for TLS cannot be read, or the two do not belong together.',
    fix: 'Name PEM files that this user may read: the chain with --tls-cert, its key with --tls-key.',
  },
  CLI_SETTING: {
    means: 'A setting in the environment has an invalid value, or two settings contradict each other.',
    fix: 'Correct it as the message says; docs/ratelimit-settings.md lists the settings.',
  },
  CLI_POLICY: {
    means: 'The policy has errors, so the server does not start.',
    fix: 'Each error names its place and the fix. `sluice lint` prints the same list without starting a server.',
  },
  CLI_MESH: {
    means: 'The files of the mesh have errors, so the control plane does not start.',
    fix: 'Each error names its place and the fix. `sluice mesh lint` prints the same list without starting a server.',
  },
  CLI_KUBERNETES: {
    means:
      'There is no Kubernetes API server to ask: the kubeconfig, the token or the certificate authority cannot be read.',
    fix: 'Name a kubeconfig with --kubeconfig and --context, or run in a pod with a service account and --in-cluster.',
  },
  CLI_INJECT_CONFIG: {
    means:
      'The injection configuration or the mesh configuration cannot be read or has errors, so the webhook does not start.',
    fix: 'Correct it as the message says; docs/inject.md describes both files.',
  },
  CLI_CA: {
    means:
      'The certificate authority of the mesh cannot start: a file of it cannot be read, is malformed, or does not fit the others.',
    fix: 'Correct the file as the message says; docs/identity.md has the files and flags.',
  },
  CLI_HANDLER_OPEN: {
    means: 'A handler of the policy could not be opened: its adapter refused its config.',
    fix: 'Correct the config of that handler; `sluice plugins show ADAPTER` shows an example of it.',
  },
  CLI_RULE_PREPARE: {
    means: 'A handler of the policy refused what a rule asks of it, so the server does not start.',
    fix: "Correct the params of that rule as the message says; if they are right, report it to the plugin's author.",
  },
} as const;
export type StartErrorCode = keyof typeof START_ERRORS;

/** A server cannot start. The command line prints it, with the next step, and turns the code into an exit code. */
export class StartError extends Error {
  readonly code: StartErrorCode;

  constructor(code: StartErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.name = 'StartError';
    this.code = code;
  }

  /** The next step. */
  get fix(): string {
    return START_ERRORS[this.code].fix;
  }
}
