import { Argument, Option } from 'commander';
import type { EnvoyFlags } from '../actions/envoy.ts';
import { type CommandSpec, jsonOption } from '../command.ts';

export const envoy: CommandSpec = {
  name: 'envoy',
  help: {
    summary: "print Envoy's configuration for a policy, or check an existing one",
    description:
      'Prints the filters, cluster, access log and rate limit actions that Envoy needs for the policy, and no others; comments name the rules that need each part, ' +
      'and what only you can know.\n' +
      'With --check it reads a configuration of Envoy, or a dump of /config_dump, and reports what the policy needs and it lacks. Files of `sluice ratelimit` count as well.',
    after: `
Examples:
  sluice envoy policy/                                   the parts, to put into your configuration
  sluice envoy policy/ --full > envoy.yaml               a whole configuration, to try: envoy -c envoy.yaml
  sluice envoy policy/ --istio --address sluice.mesh.svc.cluster.local:9091
  sluice envoy policy/ --check envoy.yaml                exit code 1 if it lacks something`,
  },
  args: [new Argument('<config...>', 'a policy: a YAML file, or a folder of them; or files of rate limits')],
  flags: [
    new Option('--full', 'a whole configuration, with listeners and a placeholder for the service').conflicts([
      'istio',
      'gateway',
      'check',
    ]),
    new Option('--istio', 'objects of Istio').conflicts(['gateway', 'check']),
    new Option('--gateway', 'objects of Envoy Gateway').conflicts('check'),
    new Option(
      '--check <file>',
      'report what this configuration of Envoy lacks: bootstrap or /config_dump, YAML or JSON',
    ),
    new Option('--address <host:port>', "where Envoy reaches Sluice's gRPC port").default('127.0.0.1:9091'),
    new Option('--timeout <duration>', 'how long Envoy waits for an answer; default 200ms for checks, 20ms for limits'),
    new Option(
      '--fail <how>',
      'what happens to requests while Sluice does not answer; default closed for checks, open for limits',
    ).choices(['open', 'closed']),
    new Option('--otlp', 'access logs by OTLP, which Envoy sends and Sluice acknowledges'),
    new Option('--tcp', 'filters of a TCP listener also for rules that answer HTTP as well'),
    jsonOption(),
  ],
  run: async (configs: readonly string[], flags: EnvoyFlags) =>
    (await import('../actions/envoy.ts')).envoy(configs, flags),
};
