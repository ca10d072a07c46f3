/** What the command line looks like. The actions are loaded when they run, so that `--help` needs none of them. */
import { Argument, Command, Option } from 'commander';
import { EXIT_CODES_TEXT, type ExitCode } from './exit-codes.ts';
import { versionText } from './package.ts';
import { paintOut } from '../text/paint.ts';

type Done = (code: ExitCode) => void;

export function makeProgram(done: Done): Command {
  const program = new Command('sluice')
    .description('One engine that decides and records every request of a service mesh.')
    .version(versionText(), '-V, --version', 'print the version, and the commit that it was built from')
    .helpOption('-h, --help', 'print help, also of one command')
    .helpCommand(false)
    .showHelpAfterError('(`sluice --help` says what there is)')
    .showSuggestionAfterError()
    .configureHelp({
      styleTitle: paintOut.strong,
      styleCommandText: paintOut.name,
      styleSubcommandTerm: paintOut.name,
      styleOptionTerm: paintOut.name,
    })
    .addHelpText(
      'after',
      `
A first look:
  sluice serve examples/start                         start, and print a line to try
  sluice lint policy/                                 every error at once, and which calls each rule answers
  sluice explain policy/ --request request.yaml       what would be answered, and why

${EXIT_CODES_TEXT}

The rule language is described in docs/rules.md, every error code in docs/errors.md.`,
    )
    .exitOverride();
  serve(program, done);
  ratelimit(program, done);
  healthcheck(program, done);
  limits(program, done);
  lint(program, done);
  test(program, done);
  explain(program, done);
  evaluate(program, done);
  call(program, done);
  plugins(program, done);
  return program;
}

const CONFIG = 'a policy: a YAML file, or a folder of them';

function serve(program: Command, done: Done): void {
  program
    .command('serve')
    .summary('answer Envoy by a policy')
    .description("Answers Envoy's ext_authz, ratelimit and access log calls by a policy, until it is told to stop.")
    .argument('<config...>', CONFIG)
    .option('--grpc <host:port>', 'where Envoy calls; unix:PATH is a unix socket', '127.0.0.1:9091')
    .option(
      '--admin <host:port>',
      'where people and Prometheus look: /metrics /healthz /readyz /rules /handlers /verdicts /limits/*',
      '127.0.0.1:15014',
    )
    .option('--workers <n>', 'threads that answer at the same port, each on a core of its own', '1')
    .addOption(
      new Option('--transport <kind>', "our own HTTP/2, or Node's (slower, there in case of need)")
        .choices(['own', 'http2'])
        .default('own'),
    )
    .option(
      '--max-connection-age <seconds>',
      'after it a proxy is asked to connect anew, perhaps to another server; without it connections stay',
    )
    .option('--tls-cert <file>', 'PEM; with it (and --tls-key) Envoy calls over TLS')
    .option('--tls-key <file>', 'PEM')
    .option('--tls-client-ca <file>', 'PEM; callers have to show a certificate of this authority')
    .option('--grace <seconds>', 'how long stopping may take: calls in flight end, reports are written', '10')
    .addOption(
      new Option('--log-format <format>', 'of its own log, on stderr').choices(['text', 'json']).default('text'),
    )
    .addOption(
      new Option('--log-level <level>', 'of its own log').choices(['debug', 'info', 'warn', 'error']).default('info'),
    )
    .addHelpText(
      'after',
      `
A changed file or SIGHUP loads the policy anew; where it has errors, they are shown and the last good one stays in force.
SIGTERM or Ctrl-C lets calls in flight end (health says NOT_SERVING first); a second one ends at once.`,
    )
    .action(async (configs: string[], options: ServeFlags) =>
      done(await (await import('./commands/serve.ts')).serve(configs, options)),
    );
}

function ratelimit(program: Command, done: Done): void {
  program
    .command('ratelimit')
    .summary('serve in the place of envoyproxy/ratelimit')
    .description(
      'Answers rate limits as envoyproxy/ratelimit does: by its files, with its settings from the environment, its counts in Redis, its ports and metrics.',
    )
    .option(
      '--workers <n>',
      'threads that answer at the same port, each on a core of its own (SLUICE_WORKERS; 1 where neither says)',
    )
    .addHelpText(
      'after',
      `
RUNTIME_ROOT=/data RUNTIME_SUBDIRECTORY=ratelimit REDIS_SOCKET_TYPE=tcp REDIS_URL=127.0.0.1:6379 sluice ratelimit
docs/ratelimit.md lists every setting, and what differs.`,
    )
    .action(async (options: RatelimitFlags) =>
      done(await (await import('./commands/ratelimit.ts')).ratelimit(options)),
    );
}

function healthcheck(program: Command, done: Done): void {
  program
    .command('healthcheck')
    .summary('ask a running server whether it takes calls')
    .description(
      'Asks gRPC health, for probes of containers. Exits with 0 where it serves, with 1 where it says that it does not, with 3 where it does not answer: a server that stops takes no new connection.',
    )
    .option('--to <host:port>', 'the gRPC port, in cleartext; unix:PATH is a unix socket', '127.0.0.1:9091')
    .option('--timeout <ms>', 'how long to wait', '1000')
    .action(async (options: HealthcheckFlags) =>
      done(await (await import('./commands/healthcheck.ts')).healthcheck(options)),
    );
}

function limits(program: Command, done: Done): void {
  const group = program
    .command('limits')
    .summary('look at the limits of a running server')
    .description(
      'Asks a running `sluice serve`, at its admin port, or `sluice ratelimit`, at its debug port, which limits a call comes to. Looking charges nothing.',
    );
  for (const [name, description] of [
    ['explain', 'which limits are meant, and why'],
    ['inspect', 'the same, and what their counters are at now'],
    ['reset', 'takes these counters away; chunks that other replicas hold are theirs until their window ends'],
  ] as const) {
    group
      .command(name)
      .description(description)
      .argument('[domain]', 'of a descriptor: the domain that Envoy sends')
      .argument('[entries...]', 'the entries of the descriptor, in order: KEY=VALUE')
      .option(
        '--request <file>',
        'any other call to `sluice serve`: attributes in YAML or JSON, as for explain; - is stdin',
      )
      .addOption(
        new Option('--call <kind>', 'the kind of call, where the file does not say').choices([
          'http',
          'tcp',
          'limit',
          'log',
          'tcp-log',
        ]),
      )
      .option(
        '--to <host:port>',
        'the admin or debug port (127.0.0.1:6070 for a descriptor, 127.0.0.1:15014 with --request)',
      )
      .option('--json', 'as JSON, for programs')
      .action(async (domain: string | undefined, entries: string[], options: LimitsFlags) =>
        done(await (await import('./commands/limits.ts')).limits(name, domain, entries, options)),
      );
  }
}

function lint(program: Command, done: Done): void {
  program
    .command('lint')
    .summary('say everything that is wrong with a policy, or with files of `sluice ratelimit`')
    .description(
      'Loads a policy without starting a server: every error and warning at once, and which calls each rule answers. Handlers that need nothing outside are opened, so that a list whose file is missing is found.\nFiles of `sluice ratelimit`, which have domain and descriptors at their top, are read as it reads them.',
    )
    .argument('<config...>', `${CONFIG}; or a file of rate limits, or a folder of them`)
    .option('--quiet', 'only the errors and warnings')
    .option('--json', 'as JSON, for programs')
    .action(async (configs: string[], options: LintFlags) =>
      done(await (await import('./commands/lint.ts')).lint(configs, options)),
    );
}

function test(program: Command, done: Done): void {
  program
    .command('test')
    .summary('run the cases that say what a policy should do')
    .description(
      'Runs cases (docs/rules.md, section 9). Nothing leaves the process: quotas are kept in memory, time stands still.',
    )
    .argument('<cases...>', 'files of cases, or folders of them')
    .addOption(
      new Option('--through <way>', 'how each case reaches the engine').choices(['process', 'grpc']).default('process'),
    )
    .action(async (paths: string[], options: TestFlags) =>
      done(await (await import('./commands/test.ts')).test(paths, options)),
    );
}

function explain(program: Command, done: Done): void {
  program
    .command('explain')
    .summary('say what a request would be answered, and why')
    .description(
      'Puts one request to a policy: the verdict, the rules that matched, what handlers said, the attributes that were read.\nIt looks: checks and lookups are asked, but no quota is charged and no report is written, unless --for-real is given.',
    )
    .argument('<config...>', CONFIG)
    .requiredOption(
      '--request <file>',
      'attributes in YAML or JSON: `request.method: GET`, and `call:` for another kind than http; - is stdin',
    )
    .addOption(
      new Option('--call <kind>', 'the kind of call, where the file does not say').choices([
        'http',
        'tcp',
        'limit',
        'log',
        'tcp-log',
      ]),
    )
    .option('--for-real', 'charge quotas and write reports, as the call itself would')
    .option('--json', 'as JSON, for programs')
    .action(async (configs: string[], options: ExplainFlags) =>
      done(await (await import('./commands/explain.ts')).explain(configs, options)),
    );
}

function evaluate(program: Command, done: Done): void {
  program
    .command('eval')
    .summary('check or evaluate one expression, or many')
    .description('Checks an expression, and with --attributes evaluates it. Exits with 1 where it is wrong or fails.')
    .argument('[expression]', 'in CEL, such as \'request.method == "GET"\'')
    .option('--attributes <file>', 'attributes in YAML or JSON; - is stdin; absent: it is only checked')
    .addOption(
      new Option('--dialect <dialect>', 'istio: the language of Mixer, which differs in what absent values do')
        .choices(['cel', 'istio'])
        .default('cel'),
    )
    .option('--type <type>', 'what it must come to, such as bool')
    .option('--explain', 'the value of each part, as it was written, and what was looked at')
    .option('--lines', 'JSON lines on stdin, one answer line each on stdout, in order')
    .addHelpText(
      'after',
      `
A line in:   {"id": 1, "expr": "ai > 1", "vocabulary": {"ai": "int"}, "attributes": {"ai": 20}, "type": "bool"}
A line out:  {"id": 1, "type": "bool", "value": true, "looked": ["ai"]}
        or:  {"id": 1, "error": {"phase": "check", "code": "EXPRESSION_TYPE", "message": "...", "line": 1, "column": 1}}
Without vocabulary it is the built-in one; without attributes the expression is only checked.`,
    )
    .action(async (expression: string | undefined, options: EvalFlags) =>
      done(await (await import('./commands/eval.ts')).evaluate(expression, options)),
    );
}

function call(program: Command, done: Done): void {
  program
    .command('call')
    .summary('send a real gRPC call to a running server')
    .description(
      'Sends what Envoy would send to a running server, and prints what it answers. Exits with 1 where it is refused.',
    )
    .addArgument(
      new Argument('<kind>', 'check: ext_authz; limit: ratelimit; log: one access log entry').choices([
        'check',
        'limit',
        'log',
      ]),
    )
    .requiredOption('--to <host:port>', 'the server')
    .requiredOption('--request <file>', 'attributes in YAML or JSON, as for explain; - is stdin')
    .option('--timeout <ms>', 'how long to wait', '1000')
    .option('--json', 'as JSON, for programs')
    .action(async (kind: 'check' | 'limit' | 'log', options: CallFlags) =>
      done(await (await import('./commands/call.ts')).call(kind, options)),
    );
}

function plugins(program: Command, done: Done): void {
  const group = program
    .command('plugins')
    .summary('list the adapters that handlers can name, or show one')
    .description("The adapters that a policy's handlers can name. What it shows comes from their own code.")
    .action(async () => done(await (await import('./commands/plugins.ts')).listPlugins()));
  group
    .command('show')
    .description('an example config with every key explained, what a rule gives it and gets back')
    .argument('<name>', 'an adapter, such as quota-redis')
    .action(async (name: string) => done(await (await import('./commands/plugins.ts')).showPlugin(name)));
}

export interface ServeFlags {
  readonly grpc: string;
  readonly admin: string;
  readonly grace: string;
  readonly workers: string;
  readonly transport: 'own' | 'http2';
  readonly maxConnectionAge?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly logFormat: 'text' | 'json';
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}
export interface HealthcheckFlags {
  readonly to: string;
  readonly timeout: string;
}
export interface RatelimitFlags {
  readonly workers?: string;
}
export interface LimitsFlags {
  readonly to?: string;
  readonly request?: string;
  readonly call?: 'http' | 'tcp' | 'limit' | 'log' | 'tcp-log';
  readonly json?: true;
}
export interface LintFlags {
  readonly quiet?: true;
  readonly json?: true;
}
export interface TestFlags {
  readonly through: 'process' | 'grpc';
}
export interface ExplainFlags {
  readonly request: string;
  readonly call?: 'http' | 'tcp' | 'limit' | 'log' | 'tcp-log';
  readonly forReal?: true;
  readonly json?: true;
}
export interface EvalFlags {
  readonly dialect?: 'cel' | 'istio';
  readonly attributes?: string;
  readonly type?: string;
  readonly explain?: true;
  readonly lines?: true;
}
export interface CallFlags {
  readonly to: string;
  readonly request: string;
  readonly timeout: string;
  readonly json?: true;
}
