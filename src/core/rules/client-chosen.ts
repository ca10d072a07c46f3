/** What any client can send as it likes, and so must not be what decides whether it is refused or charged. */
import type { Read } from '../../expression/index.ts';

const SENT = new Set([
  'request.headers',
  'request.id',
  'request.useragent',
  'request.referer',
  'request.query',
  'request.query_params',
  'request.api_key',
  'request.body',
  'request.raw_body',
  'request.size',
]);
const TARGET = new Set([
  'request.method',
  'request.path',
  'request.url_path',
  'request.authority',
  'request.host',
  'request.port',
]);
/** Envoy takes them away or writes them anew where a client from outside sends them. */
const OF_THE_PROXY = /^x-(?:envoy-|forwarded-client-cert$)/;

const isSent = ({ name, keys }: Read): boolean =>
  SENT.has(name) && !(name === 'request.headers' && keys.length > 0 && keys.every(({ key }) => OF_THE_PROXY.test(key)));

/** Whether a client alone makes the value of an expression. */
export const isClientChosen = (reads: readonly Read[]): boolean =>
  reads.length > 0 && reads.every((read) => isSent(read) || TARGET.has(read.name));

/** Whether a client makes it, and may send the same with whatever it asks for. */
export const isBareToken = (reads: readonly Read[]): boolean => reads.length > 0 && reads.every(isSent);
