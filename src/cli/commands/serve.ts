import { Option } from 'commander';
import type { ServeFlags } from '../actions/serve.ts';
import { type CommandSpec, configArgument, lenientOption } from '../command.ts';
import { logOptions, tlsOptions } from '../server-flags.ts';

export const serve: CommandSpec = {
  name: 'serve',
  help: {
    summary: 'answer Envoy by a policy',
    description: "Answers Envoy's ext_authz, ratelimit and access log calls by a policy, until it is stopped.",
    after: `
A changed file or SIGHUP reloads the policy; where it has errors, they are shown and the last good one stays in force.
SIGTERM or Ctrl-C drains: health says NOT_SERVING, calls in flight end; a second one exits at once.`,
  },
  args: [configArgument()],
  flags: [
    new Option('--grpc <host:port>', 'the gRPC port for Envoy; unix:PATH is a unix socket').default('127.0.0.1:9091'),
    new Option('--http <host:port>', 'the port for proxies that ask by HTTP (docs/http.md); default: none'),
    new Option(
      '--http-route <prefix=dialect>',
      'a path of the HTTP port and how its proxy asks: envoy, forward (Traefik, Caddy, HAProxy), nginx or authzen, with the headers that ' +
        'it sets itself, if any: /envoy=envoy,source.principal=x-client-principal,extensions=x-context-; may be repeated; ' +
        'default: /envoy=envoy, /forward=forward, /nginx=nginx',
    ).argParser((value, before: readonly string[] | undefined) => [...(before ?? []), value]),
    new Option(
      '--otlp-http <host:port>',
      'the HTTP port for logs of OpenTelemetry (/v1/logs), with the TLS of --grpc; they are taken at --grpc too; default: none',
    ),
    new Option(
      '--admin <host:port>',
      'the HTTP port for operators and Prometheus: /metrics /healthz /readyz /rules /handlers /verdicts /limits/*',
    ).default('127.0.0.1:15014'),
    new Option(
      '--candidate <path>',
      'a policy that decides the same calls beside the one in force, for comparison: /candidate, then `sluice promote` ' +
        '(docs/candidate.md); may be repeated',
    ).argParser((value, before: readonly string[] | undefined) => [...(before ?? []), value]),
    new Option('--candidate-share <percent>', 'the part of the calls that the candidate decides, such as 10%').default(
      '100%',
    ),
    new Option('--workers <n>', 'threads that serve at the same port, each on its own core').default('1'),
    new Option('--transport <kind>', "own: Sluice's HTTP/2; http2: Node's (slower, a fallback)")
      .choices(['own', 'http2'])
      .default('own'),
    new Option(
      '--max-connection-age <seconds>',
      'drain connections of this age, so that proxies reconnect, perhaps to another server; default: never',
    ),
    new Option(
      '--max-stream-age <seconds>',
      'end streams of access logs at this age with OK, so that proxies open another, perhaps at another server; loses nothing',
    ).default('300'),
    ...tlsOptions('callers'),
    new Option(
      '--watch-plugins',
      'in development: load the local plugins of the policy again when their files change; old ones stay in memory',
    ),
    lenientOption(),
    new Option('--grace <seconds>', 'drain timeout: calls in flight end, reports are written').default('10'),
    ...logOptions(),
  ],
  run: async (configs: readonly string[], flags: ServeFlags) =>
    (await import('../actions/serve.ts')).serve(configs, flags),
};
