import { Option } from 'commander';
import type { HealthFlags } from '../actions/health.ts';
import type { CommandSpec } from '../command.ts';
import { dialOptions } from '../dial-flags.ts';

export const health: CommandSpec = {
  name: 'health',
  help: {
    summary: 'ask a running server whether it takes calls',
    description:
      'Calls gRPC health, for probes of containers. ' +
      'Exits with 0 for SERVING, with 1 for NOT_SERVING, with 3 without an answer (a stopping server accepts no connections).',
  },
  flags: [
    new Option('--to <host:port>', 'the gRPC port; unix:PATH is a unix socket').default('127.0.0.1:9091'),
    new Option('--timeout <ms>', 'how long to wait').default('1000'),
    ...dialOptions('server'),
  ],
  run: async (flags: HealthFlags) => (await import('../actions/health.ts')).health(flags),
};
