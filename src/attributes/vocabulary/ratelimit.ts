/** `ratelimit.*`: one descriptor of a rate limit call. */
import { INT, listOf, mapOf, STRING, STRING_MAP } from '../types.ts';
import { row } from './row.ts';

export const RATELIMIT = [
  row('ratelimit.domain', STRING, 'The domain of the request.', { limit: 'domain' }, { always: true }),
  row(
    'ratelimit.descriptor',
    STRING_MAP,
    'The entries of the descriptor by key; the first of a repeated key.',
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
    'The cost of the call: hits_addend of the descriptor (0 inspects without charging), else of the request, else 1.',
    { limit: 'descriptors[].hits_addend, else hits_addend' },
    { always: true },
  ),
  row(
    'ratelimit.override',
    mapOf(STRING, INT),
    "A limit sent by the proxy, which replaces the rule's: { limit, per_ms }.",
    { limit: 'descriptors[].limit' },
  ),
];
