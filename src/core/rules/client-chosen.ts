/** Values that a client chooses freely, which must not decide whether it is refused or charged. */
import type { Read } from '../../expression/index.ts';

const SENT = new Set([
  'request.headers',
  'request.header_values',
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
/** Envoy removes or overwrites these in requests from outside. */
const OF_THE_PROXY = /^x-(?:envoy-|forwarded-client-cert$)/;

const isSent = ({ name, keys }: Read): boolean =>
  SENT.has(name) && !(name === 'request.headers' && keys.length > 0 && keys.every(({ key }) => OF_THE_PROXY.test(key)));

/** Whether only the client determines the value of an expression. */
export const isClientChosen = (reads: readonly Read[]): boolean =>
  reads.length > 0 && reads.every((read) => isSent(read) || TARGET.has(read.name));

/** Whether the client determines the value independently of what it requests. */
export const isBareToken = (reads: readonly Read[]): boolean => reads.length > 0 && reads.every(isSent);
