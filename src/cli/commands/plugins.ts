import { Argument } from 'commander';
import type { CommandSpec } from '../command.ts';

export const plugins: CommandSpec = {
  name: 'plugins',
  help: {
    summary: 'list the adapters that handlers can name, or show one',
    description: "The adapters that a policy's handlers can name. The output comes from their own code.",
  },
  run: async () => (await import('../actions/plugins.ts')).listPlugins(),
  subcommands: [
    {
      name: 'show',
      help: { description: 'an example config with every key explained, the input of rules and the output' },
      args: [new Argument('<name>', 'an adapter, such as quota-redis')],
      run: async (name: string) => (await import('../actions/plugins.ts')).showPlugin(name),
    },
  ],
};
