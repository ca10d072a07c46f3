import { Argument, Option } from 'commander';
import type { EvalFlags } from '../actions/eval.ts';
import type { CommandSpec } from '../command.ts';

export const evaluate: CommandSpec = {
  name: 'eval',
  help: {
    summary: 'check or evaluate one expression, or many',
    description:
      'Checks an expression, and with --attributes evaluates it. Exits with 1 if it has errors or its evaluation fails.',
    after: `
A line in:   {"id": 1, "expr": "ai > 1", "vocabulary": {"ai": "int"}, "attributes": {"ai": 20}, "type": "bool"}
A line out:  {"id": 1, "type": "bool", "value": true, "looked": ["ai"]}
        or:  {"id": 1, "error": {"phase": "check", "code": "EXPRESSION_TYPE", "message": "...", "line": 1, "column": 1}}
The default vocabulary is the built-in one; without attributes the expression is only checked.`,
  },
  args: [new Argument('[expression]', 'in CEL, such as \'request.method == "GET"\'')],
  flags: [
    new Option('--attributes <file>', 'attributes in YAML or JSON; - is stdin; absent: the expression is only checked'),
    new Option('--dialect <dialect>', "istio: Mixer's language, which treats absent values differently")
      .choices(['cel', 'istio'])
      .default('cel'),
    new Option('--type <type>', 'the expected type, such as bool'),
    new Option('--explain', 'the value of each part of the expression, and the attributes that were read'),
    new Option('--lines', 'JSON lines on stdin, one answer line each on stdout, in order'),
  ],
  run: async (expression: string | undefined, flags: EvalFlags) =>
    (await import('../actions/eval.ts')).evaluate(expression, flags),
};
