import { Option } from 'commander';
import type { ExplainFlags } from '../actions/explain.ts';
import { callOption, type CommandSpec, configArgument, jsonOption } from '../command.ts';

export const explain: CommandSpec = {
  name: 'explain',
  help: {
    summary: 'show the answer to a request, and the reasons',
    description:
      'Evaluates one request: the verdict, the rules that matched, the answers of handlers, the attributes that were read.\n' +
      'Handlers answer checks and lookups, but no quota is charged and no report is written, unless --for-real is given.',
  },
  args: [configArgument()],
  flags: [
    new Option(
      '--request <file>',
      'attributes in YAML or JSON: `request.method: GET`, and `call:` for another kind than http; - is stdin',
    ).makeOptionMandatory(),
    callOption(),
    new Option('--for-real', 'charge quotas and write reports, as the call itself would'),
    jsonOption(),
  ],
  run: async (configs: readonly string[], flags: ExplainFlags) =>
    (await import('../actions/explain.ts')).explain(configs, flags),
};
