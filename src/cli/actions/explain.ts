import { builtIns } from '../../adapters/loading/built-in.ts';
import { AttributeError } from '../../attributes/errors.ts';
import type { Wire } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { createEngine } from '../../core/engine.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { explained, type Explanation, explanationJson } from '../../explain/explanation.ts';
import { loadOrStop } from '../load.ts';
import { type HandlerAnswer, recording, type Validity } from '../../explain/handler-answers.ts';
import { lookingOnly } from '../../explain/looking-only.ts';
import { makeLog } from '../../log/log.ts';
import { handlerOpener } from '../../serve/policy/handler-opener.ts';
import { plainRequest } from '../../attributes/plain-request.ts';
import { readRequestFile, type RequestFile } from '../request-file.ts';
import { paintOut } from '../../text/paint.ts';
import { columns, printOut } from '../terminal.ts';

export interface ExplainFlags {
  readonly request: string;
  readonly call?: CallKind;
  readonly forReal?: true;
  readonly json?: true;
}

export async function explain(configs: readonly string[], flags: ExplainFlags): Promise<ExitCode> {
  const request = readRequestFile(flags.request);
  const policy = await loadOrStop(configs, builtIns());
  const call = request.call ?? flags.call ?? 'http';
  const wire = wireOf(policy, request, call);
  const { openHandlers } = handlerOpener(makeLog('text', 'error'));
  const isForReal = flags.forReal === true;
  const answers: HandlerAnswer[] = [];
  const opening = recording(isForReal ? openHandlers : lookingOnly(openHandlers), answers);
  const engine = createEngine({ openHandlers: opening });
  try {
    await engine.use(policy);
    const explanation = await explained(policy, engine, call, wire, isForReal, answers);
    printOut(
      flags.json === true ? JSON.stringify(explanationJson(explanation), null, 2) : explanationText(explanation),
    );
  } finally {
    await engine.drain();
  }
  return EXIT.ok;
}

function wireOf({ attributes }: Policy, { shown, values }: RequestFile, call: CallKind): Wire {
  try {
    return plainRequest(attributes, values, call);
  } catch (error) {
    if (error instanceof AttributeError)
      throw new CliError('CLI_REQUEST_FILE', `${shown}: ${error.message}`, { cause: error });
    throw error;
  }
}

function explanationText({
  call,
  verdict,
  rules,
  failedTexts,
  answers,
  validity,
  notDone,
  attributes,
}: Explanation): string {
  const lines: string[] = [];
  if (verdict === undefined)
    lines.push(`${paintOut.good('taken')}  a ${call} entry: the reports of the rules that apply`);
  else {
    const paint = verdict.outcome === 'allow' ? paintOut.good : paintOut.bad;
    const by = verdict.rule === undefined ? '' : ` by ${paintOut.name(verdict.rule)}`;
    lines.push(
      `${paint(verdict.outcome)}${by}${'status' in verdict && verdict.outcome !== 'allow' ? `, HTTP ${verdict.status}` : ''}`,
    );
    if ('body' in verdict && verdict.body !== '') lines.push(`  body: ${verdict.body}`);
    if ('headers' in verdict) lines.push(...verdict.headers.map(([name, value]) => `  ${name}: ${value}`));
    if ('changes' in verdict) lines.push(...changes('request', verdict.changes.request));
    lines.push(...changes('response', 'changes' in verdict ? verdict.changes.response : verdict.response));
    if ('statuses' in verdict)
      lines.push(
        ...verdict.statuses.map(
          ({ over, limit, remaining }) => `  ${over ? 'over limit' : 'within limit'}: ${remaining} of ${limit} left`,
        ),
      );
    for (const { rule, text, shadow } of verdict.reasons)
      lines.push(`  ${paintOut.name(rule)}${shadow ? ' (shadow)' : ''}: ${text}`);
  }
  for (const { rule, text, why } of failedTexts)
    lines.push(
      `  ${paintOut.name(rule)}: ${text} failed to render, so all names that this rule sets are removed: ${why}`,
    );
  for (const { rule, handler, says, validForMs } of answers)
    lines.push(
      `  ${paintOut.name(rule)}: ${handler} answers ${says}${validForMs === null ? '' : `, valid for ${validForMs} ms`}`,
    );
  if (validity !== undefined) lines.push(paintOut.faint(`  ${validityText(validity)}`));
  for (const { rule, what, handler } of notDone)
    lines.push(paintOut.faint(`  not done: ${rule} would ${what === 'charge' ? 'charge' : 'write to'} ${handler}`));
  if (notDone.length > 0) lines.push(paintOut.faint('  (explain has no side effects; --for-real has)'));
  lines.push('', paintOut.strong(`Rules that answer ${call} calls`));
  lines.push(
    ...columns(
      rules.map(({ rule, match, why, action, mode }) => [
        `  ${rule}`,
        mode === 'enforce' ? action : `${action} (${mode})`,
        why === undefined ? match : `${match}: ${why}`,
      ]),
      [paintOut.name],
    ),
  );
  lines.push('', paintOut.strong('Attributes that were read'));
  lines.push(
    ...columns(
      Object.entries(attributes).map(([name, value]) => [
        `  ${name}`,
        value === null ? 'absent' : JSON.stringify(value),
      ]),
      [paintOut.name],
    ),
  );
  return lines.join('\n');
}

function validityText(validity: Validity): string {
  if (!validity.holds) return `the verdict is for this call alone: ${validity.why}`;
  const forHowLong = validity.forMs === null ? 'until the policy changes' : `for ${validity.forMs} ms`;
  return `the verdict holds ${forHowLong} for calls that are equal in the attributes below`;
}

function changes(
  what: string,
  {
    set,
    append,
    remove,
  }: {
    readonly set: readonly (readonly [string, string])[];
    readonly append: readonly (readonly [string, string])[];
    readonly remove: readonly string[];
  },
): string[] {
  return [
    ...set.map(([name, value]) => `  ${what} gets ${name}: ${value}`),
    ...append.map(([name, value]) => `  ${what} gets also ${name}: ${value}`),
    ...remove.map((name) => `  ${what} loses ${name}`),
  ];
}
