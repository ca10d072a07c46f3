import { Argument, Option } from 'commander';
import type { CallFlags } from '../actions/call.ts';
import { type CommandSpec, jsonOption } from '../command.ts';
import { dialOptions } from '../dial-flags.ts';

export const call: CommandSpec = {
  name: 'call',
  help: {
    summary: 'send a real gRPC call to a running server',
    description: 'Sends a call as Envoy would, and prints the answer. Exits with 1 if the call is refused.',
  },
  args: [
    new Argument('<kind>', 'check: ext_authz; limit: ratelimit; log: one access log entry').choices([
      'check',
      'limit',
      'log',
    ]),
  ],
  flags: [
    new Option('--to <host:port>', 'the server').makeOptionMandatory(),
    new Option('--request <file>', 'attributes in YAML or JSON, as for explain; - is stdin').makeOptionMandatory(),
    new Option('--timeout <ms>', 'how long to wait').default('1000'),
    ...dialOptions('server'),
    jsonOption(),
  ],
  run: async (kind: 'check' | 'limit' | 'log', flags: CallFlags) =>
    (await import('../actions/call.ts')).call(kind, flags),
};
