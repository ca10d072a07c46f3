import { Option } from 'commander';
import type { RatelimitFlags } from '../actions/ratelimit.ts';
import type { CommandSpec } from '../command.ts';

export const ratelimit: CommandSpec = {
  name: 'ratelimit',
  help: {
    summary: 'serve in the place of envoyproxy/ratelimit',
    description:
      'Answers rate limits as envoyproxy/ratelimit does, with its files, its settings from the environment, its counters in Redis, ' +
      'its ports and its metrics.',
    after: `
RUNTIME_ROOT=/data RUNTIME_SUBDIRECTORY=ratelimit REDIS_SOCKET_TYPE=tcp REDIS_URL=127.0.0.1:6379 sluice ratelimit
docs/ratelimit-settings.md lists every setting, docs/ratelimit.md the differences.`,
  },
  flags: [
    new Option(
      '--workers <n>',
      'threads that serve at the same port, each on its own core (or SLUICE_WORKERS; 1 without either)',
    ),
  ],
  run: async (flags: RatelimitFlags) => (await import('../actions/ratelimit.ts')).ratelimit(flags),
};
