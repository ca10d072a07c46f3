import { Argument, Option } from 'commander';
import type { NewPluginFlags } from '../actions/new-plugin.ts';
import type { PluginsFlags } from '../actions/plugins.ts';
import type { DescribePluginFlags, ServePluginsFlags } from '../actions/serve-plugins.ts';
import { type CommandSpec, jsonOption } from '../command.ts';
import { logOptions, tlsOptions } from '../server-flags.ts';
import { dialOptions } from '../dial-flags.ts';

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
      name: 'serve',
      help: {
        description: 'run plugins in a process of their own, for handlers with `run: { dial: ADDRESS }`',
        after: `
Serves sluice.plugin.v1 with health and reflection (docs/remote-plugins.md). SIGTERM or Ctrl-C drains: running calls are answered.
Example: sluice plugins serve ./check-revoked.ts --listen unix:/run/revoked.sock`,
      },
      args: [new Argument('<module...>', 'modules with adapters: paths, packages, or names of built-in adapters')],
      flags: [
        new Option('--listen <address>', 'unix:PATH or HOST:PORT').makeOptionMandatory(),
        ...tlsOptions('hosts'),
        new Option('--grace <seconds>', 'drain timeout').default('10'),
        ...logOptions(),
      ],
      run: async (modules: readonly string[], flags: ServePluginsFlags) =>
        (await import('../actions/serve-plugins.ts')).servePlugins(modules, flags),
    },
    {
      name: 'describe',
      help: {
        description: 'ask a plugin that runs in a process of its own for its adapters, and print a description file',
        after: 'Example: sluice plugins describe --dial unix:/run/revoked.sock > revoked.plugin.json',
      },
      flags: [new Option('--dial <address>', 'unix:PATH or HOST:PORT').makeOptionMandatory(), ...dialOptions('plugin')],
      run: async (flags: DescribePluginFlags) => (await import('../actions/serve-plugins.ts')).describePlugin(flags),
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
