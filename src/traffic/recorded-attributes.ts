/** The attributes of the vocabulary that a recorded call has: those that its wire carries, and that are not derived from others. */
import type { Attribute } from '../attributes/attributes.ts';
import { VOCABULARY } from '../attributes/vocabulary.ts';
import { DECIDED_KINDS, type DecidedKind } from './format.ts';

/** Attributes of a wire that a line has elsewhere, by name, with the place. */
const RECORDED_ELSEWHERE: Readonly<Record<string, string>> = {
  'context.time': 'time',
  metadata: 'carried.metadata',
  'ratelimit.descriptor': 'ratelimit.entries',
};

/** Written only where bodies are asked for, since no rule knows the secrets in them. */
export const BODIES: ReadonlySet<string> = new Set(['request.body', 'request.raw_body']);

/** A row of the vocabulary that a call of this kind may carry; its slot is its number, since the vocabulary comes first. */
export type RecordedRow = Attribute & { readonly number: number };

export const RECORDED_ROWS: Readonly<Record<DecidedKind, readonly RecordedRow[]>> = Object.fromEntries(
  DECIDED_KINDS.map((call) => [
    call,
    VOCABULARY.flatMap((row, number): RecordedRow[] => {
      const field = row.carriedBy[call];
      // A context extension is recorded under its own name, in `carried`.
      const isExtension = field?.startsWith('context_extensions[') === true;
      return field === undefined || isExtension || row.name in RECORDED_ELSEWHERE ? [] : [{ ...row, number }];
    }),
  ]),
) as unknown as Record<DecidedKind, readonly RecordedRow[]>;

/** Maps that a wire of the call always has, if only empty; empty ones are not written. */
export const EMPTY_MAPS: Readonly<Record<DecidedKind, ReadonlySet<number>>> = Object.fromEntries(
  DECIDED_KINDS.map((call) => [
    call,
    new Set(
      RECORDED_ROWS[call].flatMap(({ number, always, type, source }) =>
        always && type.kind === 'map' && source.kind === 'built-in' && source.derive === undefined ? [number] : [],
      ),
    ),
  ]),
) as unknown as Record<DecidedKind, ReadonlySet<number>>;
