/** `sluice limits explain|inspect|reset`: asks a running server which limits apply to a call. */
import type { CallKind } from '../../attributes/carrier.ts';
import type { InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import { addressText } from '../../transport/index.ts';
import { parseAddress } from '../flag-values.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { askLimits, type Question, type Inspected } from '../limits/ask.ts';
import { descriptorLines } from '../limits/descriptor-lines.ts';
import { ruleLines } from '../limits/rule-lines.ts';
import { readRequestFile, type RequestFile } from '../request-file.ts';
import { printOut } from '../terminal.ts';

export interface LimitsFlags {
  readonly to?: string;
  readonly request?: string;
  readonly call?: CallKind;
  readonly json?: true;
}

/** Default addresses: descriptors are for `sluice ratelimit`, attributes for `sluice serve`. */
const DEFAULT_ADDRESS = { descriptor: '127.0.0.1:6070', request: '127.0.0.1:15014' } as const;

export async function limits(
  depth: InspectionDepth,
  domain: string | undefined,
  entries: readonly string[],
  flags: LimitsFlags,
): Promise<ExitCode> {
  const question = questionOf(domain, entries, flags);
  const inspected = await askLimits(
    addressText(parseAddress(flags.to ?? DEFAULT_ADDRESS[question.kind])),
    depth,
    question,
  );
  if (flags.json === true) printOut(JSON.stringify(inspected.answer));
  else
    for (const line of inspected.by === 'serve'
      ? ruleLines(depth, inspected.answer)
      : descriptorLines(depth, inspected.answer))
      printOut(line);
  return isFound(inspected) ? EXIT.ok : EXIT.findings;
}

function questionOf(domain: string | undefined, entries: readonly string[], { request, call }: LimitsFlags): Question {
  const wrong = (why: string): CliError => new CliError('CLI_USAGE', why);
  if (request !== undefined) {
    if (domain !== undefined) throw wrong('expected a descriptor or --request, not both');
    return { kind: 'request', request: ofCall(readRequestFile(request), call) };
  }
  if (domain === undefined || entries.length === 0)
    throw wrong('expected a descriptor, DOMAIN KEY=VALUE..., or --request FILE');
  if (call !== undefined) throw wrong('--call requires --request; a descriptor is always a limit call');
  return { kind: 'descriptor', domain, entries };
}

/** `call` in the file has precedence, as for `sluice explain`. */
const ofCall = (file: RequestFile, call: LimitsFlags['call']): RequestFile =>
  call === undefined || file.call !== undefined ? file : { ...file, values: { ...file.values, call } };

/** Whether a limit applies and its counter could be read. */
function isFound(inspected: Inspected): boolean {
  if (inspected.by === 'ratelimit') return inspected.answer.limit !== undefined;
  const applying = inspected.answer.rules.filter(({ applies }) => applies);
  return applying.length > 0 && applying.every(({ failure }) => failure === undefined);
}
