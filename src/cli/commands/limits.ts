/** `sluice limits explain|inspect|reset`: asks a running server about the limits that one call comes to. */
import type { LookDepth } from '../../core/dispatch/look-at-quotas.ts';
import { addressText } from '../../transport/index.ts';
import { parseAddress } from '../address.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { askLimits, type Question, type Told } from '../limits/ask.ts';
import { descriptorLines } from '../limits/descriptor-lines.ts';
import { ruleLines } from '../limits/rule-lines.ts';
import type { LimitsFlags } from '../program.ts';
import { readRequestFile, type RequestFile } from '../request-file.ts';
import { say } from '../terminal.ts';

/** Where the servers listen unless told otherwise: descriptors are the words of `sluice ratelimit`, attributes those of `sluice serve`. */
const USUAL_PORT = { descriptor: '127.0.0.1:6070', request: '127.0.0.1:15014' } as const;

export async function limits(
  depth: LookDepth,
  domain: string | undefined,
  entries: readonly string[],
  flags: LimitsFlags,
): Promise<ExitCode> {
  const question = questionOf(domain, entries, flags);
  const told = await askLimits(addressText(parseAddress(flags.to ?? USUAL_PORT[question.kind])), depth, question);
  if (flags.json === true) say(JSON.stringify(told.answer));
  else
    for (const line of told.by === 'serve' ? ruleLines(depth, told.answer) : descriptorLines(depth, told.answer))
      say(line);
  return isFound(told) ? EXIT.ok : EXIT.findings;
}

function questionOf(domain: string | undefined, entries: readonly string[], { request, call }: LimitsFlags): Question {
  const wrong = (why: string): CliError => new CliError('CLI_USAGE', why);
  if (request !== undefined) {
    if (domain !== undefined) throw wrong('a descriptor or --request is expected, not both');
    return { kind: 'request', request: ofCall(readRequestFile(request), call) };
  }
  if (domain === undefined || entries.length === 0)
    throw wrong('a descriptor is expected, DOMAIN KEY=VALUE..., or --request FILE');
  if (call !== undefined) throw wrong('--call goes with --request: a descriptor is a limit call');
  return { kind: 'descriptor', domain, entries };
}

/** The file's own word comes first, as for `sluice explain`. */
const ofCall = (file: RequestFile, call: LimitsFlags['call']): RequestFile =>
  call === undefined || file.call !== undefined ? file : { ...file, values: { ...file.values, call } };

/** There is a limit, and what was asked for was had. */
function isFound(told: Told): boolean {
  if (told.by === 'ratelimit') return told.answer.limit !== undefined;
  const applying = told.answer.rules.filter(({ applies }) => applies);
  return applying.length > 0 && applying.every(({ failure }) => failure === undefined);
}
