/** `ratelimit.*`: one descriptor of a rate limit call. */
import { INT, listOf, mapOf, STRING, STRING_MAP } from '../types.ts';
import { row } from './row.ts';

export const RATELIMIT = [
  row('ratelimit.domain', STRING, 'The domain of the request.', { limit: 'domain' }, { always: true }),
  row(
    'ratelimit.descriptor',
    STRING_MAP,
    'The entries of the descriptor by key; of a repeated key the first.',
    { limit: 'descriptors[].entries' },
    { always: true },
  ),
  row(
    'ratelimit.entries',
    listOf(STRING_MAP),
    'The entries of the descriptor in order, each { key, value }.',
    { limit: 'descriptors[].entries' },
    { always: true },
  ),
  row(
    'ratelimit.hits',
    INT,
    "What the call costs: the descriptor's own hits_addend (0 looks without charging), else that of the request, else 1.",
    { limit: 'descriptors[].hits_addend, else hits_addend' },
    { always: true },
  ),
  row(
    'ratelimit.override',
    mapOf(STRING, INT),
    "A limit that the proxy sends, which replaces the rule's: { limit, per_ms }.",
    { limit: 'descriptors[].limit' },
  ),
];
