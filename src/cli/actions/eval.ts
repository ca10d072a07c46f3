import { createInterface } from 'node:readline';
import { z } from 'zod';
import { DependencyBag } from '../../attributes/dependency-bag.ts';
import { typeText } from '../../attributes/types.ts';
import { FAILED, type Problem, traceable, type TracedPart, type Val } from '../../expression/index.ts';
import { CliError } from '../cli-error.ts';
import { answerOf, type EvalAnswer, optionsOf, placeOf, requestBagOf, vocabularyOf } from '../eval/evaluation.ts';
import { jsonOf } from '../eval/values.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { readRequestFile } from '../request-file.ts';
import { paintOut } from '../../text/paint.ts';
import { columns, printOut, printErr } from '../terminal.ts';

export interface EvalFlags {
  readonly dialect?: 'cel' | 'istio';
  readonly attributes?: string;
  readonly type?: string;
  readonly explain?: true;
  readonly lines?: true;
}

export async function evaluate(expression: string | undefined, flags: EvalFlags): Promise<ExitCode> {
  if (flags.lines === true) return evaluateLines();
  if (expression === undefined) throw new CliError('CLI_USAGE', 'expected an expression, or --lines');
  return evaluateOne(expression, flags);
}

// ---------------------------------------------------------------- one expression, for people

function evaluateOne(expression: string, { attributes: file, type, explain, dialect }: EvalFlags): ExitCode {
  if (dialect === 'istio') return evaluateOneInIstio(expression, { file, type, explain });
  const builtIn = vocabularyOf({});
  const vocabulary = builtIn.attributes;
  const { compiled, problems } = traceable(expression, vocabulary, optionsOf({ expr: expression, type }));
  if (compiled === undefined) {
    for (const problem of problems) printErr(problemText(expression, problem));
    return EXIT.findings;
  }
  for (const warning of compiled.warnings) printErr(problemText(expression, warning));
  if (file === undefined) {
    printOut(typeText(compiled.type));
    return EXIT.ok;
  }
  const { call, values } = readRequestFile(file);
  const bag = new DependencyBag(vocabulary, requestBagOf(builtIn, values, call));
  const { value, tree, failing } = compiled.evaluate(bag);
  const looked = bag.dependencies();
  if (explain === true) {
    printOut(columns(treeRows(tree, '')).join('\n'));
    printOut(`${paintOut.faint('looked at')} ${looked.join(' ')}`);
  }
  if (value === FAILED) {
    const { start, end, message } = failing ?? { start: 0, end: expression.length, message: 'it failed' };
    printErr(problemText(expression, { code: 'EXPRESSION_FAILED', message, start, end }));
    return EXIT.findings;
  }
  if (explain !== true) printOut(JSON.stringify(jsonOf(value)));
  return EXIT.ok;
}

function evaluateOneInIstio(
  expr: string,
  {
    file,
    type,
    explain,
  }: { readonly file: string | undefined; readonly type: string | undefined; readonly explain: true | undefined },
): ExitCode {
  const answer = answerOf({ expr, dialect: 'istio', type, attributes: file === undefined ? undefined : givenBy(file) });
  if ('error' in answer) {
    const { line, column, code, message } = answer.error;
    printErr(`${line}:${column} ${code} ${message}`);
    return EXIT.findings;
  }
  printOut('value' in answer ? JSON.stringify(answer.value) : answer.type);
  if (explain === true && answer.looked !== undefined)
    printOut(`${paintOut.faint('looked at')} ${answer.looked.join(' ')}`);
  return EXIT.ok;
}

function givenBy(file: string): Readonly<Record<string, unknown>> {
  const { call: _call, ...given } = readRequestFile(file).values;
  return given;
}

function problemText(source: string, { code, message, start, end }: Problem): string {
  const { line, column } = placeOf(source, start);
  const text = source.split('\n')[line - 1] ?? '';
  return `${line}:${column} ${code} ${message}\n  ${text}\n  ${' '.repeat(column - 1)}${'^'.repeat(Math.max(1, Math.min(end - start, text.length - column + 1)))}`;
}

function treeRows({ text, type, outcome, value, parts }: TracedPart, indent: string): string[][] {
  const shown =
    outcome === 'value' && value !== undefined ? shownJson(value) : outcome === 'skipped' ? 'not asked' : outcome;
  return [
    [`${indent}${text.replaceAll(/\s+/g, ' ')}`, typeText(type), shown],
    ...parts.flatMap((part) => treeRows(part, `${indent}  `)),
  ];
}

const MAX_SHOWN_CHARACTERS = 2000;

function shownJson(value: Val): string {
  try {
    return JSON.stringify(jsonOf(value, MAX_SHOWN_CHARACTERS));
  } catch (error) {
    if (error instanceof CliError) return '(too long to show)';
    throw error;
  }
}

// ---------------------------------------------------------------- many expressions, for scripts

const LINE = z.strictObject({
  id: z.unknown().optional(),
  expr: z.string(),
  dialect: z.enum(['cel', 'istio']).optional(),
  vocabulary: z.record(z.string(), z.string()).optional(),
  attributes: z.record(z.string(), z.unknown()).optional(),
  type: z.string().optional(),
});

/** One answer line per input line, in order. Exits with 0; the error of a line is in its answer. */
async function evaluateLines(): Promise<ExitCode> {
  let answers: string[] = [];
  let waiting = 0;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    const answer = lineOf(line);
    answers.push(answer);
    waiting += answer.length;
    if (answers.length < 500 && waiting < MAX_WAITING_CHARACTERS) continue;
    printOut(answers.join('\n'));
    answers = [];
    waiting = 0;
  }
  if (answers.length > 0) printOut(answers.join('\n'));
  return EXIT.ok;
}

const MAX_WAITING_CHARACTERS = 256 * 1024;

/** An error of one line is its answer, and does not end the others. */
function lineOf(line: string): string {
  let id: { readonly id?: unknown } = {};
  try {
    const json: unknown = JSON.parse(line);
    if (typeof json === 'object' && json !== null && 'id' in json) id = { id: json.id };
    const parsed = LINE.safeParse(json);
    const answer = parsed.success
      ? answerOf(parsed.data)
      : wrongLine(id, parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
    return JSON.stringify(answer);
  } catch (error) {
    return JSON.stringify(
      wrongLine(
        id,
        error instanceof SyntaxError
          ? `the line is not JSON: ${error.message}`
          : `the line cannot be answered: ${String(error)}`,
      ),
    );
  }
}

const wrongLine = (id: { readonly id?: unknown }, message: string): EvalAnswer => ({
  ...id,
  error: { phase: 'parse', code: 'CLI_EVAL', message, line: 1, column: 1 },
});
