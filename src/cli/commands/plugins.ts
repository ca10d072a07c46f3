import { Argument, Option } from 'commander';
import type { NewPluginFlags } from '../actions/new-plugin.ts';
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
      name: 'new',
      help: {
        description: 'write a folder with a new plugin: TypeScript, tests, an example policy with cases',
        after: 'Example: sluice plugins new check-hours --serves check,report',
      },
      args: [new Argument('<name>', "the adapter's name, such as check-hours")],
      flags: [
        new Option('--serves <capabilities>', 'some of enrich, check, quota, report, separated by commas').default(
          'check',
        ),
        new Option(
          '--sluice <spec>',
          'where npm finds sluice: a version, or the file of `npm pack`; default: this version',
        ),
      ],
      run: async (name: string, flags: NewPluginFlags) =>
        (await import('../actions/new-plugin.ts')).newPlugin(name, flags),
    },
    {
      name: 'show',
      help: { description: 'an example config with every key explained, the input of rules and the output' },
      args: [new Argument('<name>', 'an adapter, such as quota-redis'), policyArgument()],
      run: async (name: string, configs: readonly string[]) =>
        (await import('../actions/plugins.ts')).showPlugin(name, configs),
    },
  ],
};
