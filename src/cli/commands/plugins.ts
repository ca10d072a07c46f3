import { Argument } from 'commander';
import type { PluginsFlags } from '../actions/plugins.ts';
import { type CommandSpec, jsonOption } from '../command.ts';

const policyArgument = (): Argument =>
  new Argument('[config...]', 'a policy, for the plugins that it names as well: a YAML file, or a folder of them');

export const plugins: CommandSpec = {
  name: 'plugins',
  help: {
    summary: 'list the adapters that handlers can name, or show one',
    description:
      "The adapters that a policy's handlers can name, described from their own code: " +
      'the built-in ones, and the ones of the plugins of a policy, with their packages and modules.',
  },
  args: [policyArgument()],
  flags: [jsonOption()],
  run: async (configs: readonly string[], flags: PluginsFlags) =>
    (await import('../actions/plugins.ts')).listPlugins(configs, flags),
  subcommands: [
    {
      name: 'show',
      help: { description: 'an example config with every key explained, the input of rules and the output' },
      args: [new Argument('<name>', 'an adapter, such as quota-redis'), policyArgument()],
      run: async (name: string, configs: readonly string[]) =>
        (await import('../actions/plugins.ts')).showPlugin(name, configs),
    },
  ],
};
