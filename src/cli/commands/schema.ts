import { Argument } from 'commander';
import type { CommandSpec } from '../command.ts';

export const schema: CommandSpec = {
  name: 'schema',
  help: {
    summary: 'print the JSON Schema of policies and cases, for editors',
    description:
      'Prints a JSON Schema (draft 2020-12) of policies and of documents with cases, with the config of each adapter: ' +
      'the built-in ones, or those that a policy can name. The one of the built-in ones is docs/policy.schema.json.',
    after: `
An editor with yaml-language-server reads the schema that the first line of a file names:
  sluice schema policy/ > policy.schema.json
  # yaml-language-server: $schema=policy.schema.json`,
  },
  args: [
    new Argument('[config...]', 'a policy, for the plugins that it names as well: a YAML file, or a folder of them'),
  ],
  run: async (configs: readonly string[]) => (await import('../actions/schema.ts')).schema(configs),
};
