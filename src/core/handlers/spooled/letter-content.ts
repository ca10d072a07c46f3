/** The content of a dead letter, for people. */
import { HIDDEN } from '../../../attributes/secrets.ts';
import { messageOf } from '../../../text/message-of.ts';
import { decodeReport, type SinkDefinition } from './record.ts';

/** The record itself, in base64, if this version cannot read it. */
export function contentOf(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const { timeMs, input, definition } = decodeReport(bytes);
    return { reported: new Date(timeMs).toISOString(), values: input, params: shownParams(definition) };
  } catch (error) {
    return { unreadable: messageOf(error), record: Buffer.from(bytes).toString('base64') };
  }
}

/** The letter keeps them, since a replay makes its sink of them. */
function shownParams(definition: SinkDefinition | undefined): unknown {
  if (definition === undefined || definition.secretParams.length === 0) return definition?.params;
  const { params, secretParams } = definition;
  return { ...(params as object), ...Object.fromEntries(secretParams.map((name) => [name, HIDDEN])) };
}

/** For JSON.stringify: bytes as base64, and numbers that JSON lacks as text. */
export function jsonValue(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value;
}
