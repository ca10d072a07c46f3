/** Prints the inspection of one descriptor by `sluice ratelimit`, for people. */
import type { InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import type { Inspection } from '../../ratelimit/inspect/inspector.ts';
import { shownPath } from '../findings.ts';
import { holdersText, leaseLines } from './holder-lines.ts';
import { paintOut } from '../../text/paint.ts';

export function* descriptorLines(depth: InspectionDepth, inspection: Inspection): Generator<string> {
  yield* limitLines(depth, inspection);
  for (const one of inspection.also ?? []) yield* limitLines(depth, one);
}

function* limitLines(depth: InspectionDepth, inspection: Inspection): Generator<string> {
  const { why, limit, counter, resetS, count, heldHere, holders, remaining } = inspection;
  for (const line of why) yield `  ${line}`;
  if (limit === undefined) return yield paintOut.warn('no limit: it passes');
  const [file = '', ...place] = limit.at.split(/:(?=\d+:\d+$)/);
  const { algorithm, burst, requestsPerUnit, unit } = limit;
  const isLease = algorithm === 'concurrency';
  const amount = limit.unlimited
    ? 'unlimited'
    : isLease
      ? `${requestsPerUnit} at once, each for ${unit} at most`
      : `${requestsPerUnit} per ${unit.toLowerCase()}`;
  const more = [
    algorithm === 'fixed' || isLease ? '' : algorithm,
    burst === undefined ? '' : `burst ${burst}`,
    limit.shadow ? 'shadow: never over' : '',
    limit.quota ? 'a quota' : '',
    limit.name === '' ? '' : `named ${limit.name}`,
    limit.replaces.length === 0 ? '' : `replaces ${limit.replaces.join(', ')}`,
  ].filter((text) => text !== '');
  yield `${paintOut.strong(limit.rule)}  ${amount}${more.length === 0 ? '' : `, ${more.join(', ')}`}  ${paintOut.faint([shownPath(file), ...place].join(':'))}`;
  if (counter === undefined) return;
  yield `  counter    ${counter}`;
  if (resetS !== undefined)
    yield `  ${algorithm === 'fixed' || algorithm === 'sliding' ? 'ends' : 'free'} in    ${resetS} s`;
  if (count === undefined) return;
  yield `  ${depth === 'reset' ? 'was at     ' : 'is at      '}${count}, ${remaining} left${heldHere === undefined || heldHere === 0 ? '' : `; ${heldHere} of them held here`}`;
  if (holders !== undefined && holders.length > 0) yield `  held       ${holdersText(holders)}`;
  yield* leaseLines(inspection);
  if (depth === 'reset') yield paintOut.good('it is reset');
}
