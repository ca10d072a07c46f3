/** SETTINGS (RFC 9113 section 6.5): our own, and validation of the peer's. */
import type { Limits } from '../limits.ts';
import { ConnectionError, ErrorCode, MAX_FRAME_BYTES, MAX_WINDOW_BYTES, protocolError } from './frames.ts';

export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

export const SETTING_BYTES = 6;

/** The payload of our SETTINGS. */
export function ourSettings({ maxStreams, maxHeaderListBytes, streamWindowBytes }: Limits): Uint8Array {
  const settings = [
    [Setting.MAX_CONCURRENT_STREAMS, maxStreams],
    [Setting.INITIAL_WINDOW_SIZE, streamWindowBytes],
    [Setting.MAX_HEADER_LIST_SIZE, maxHeaderListBytes],
  ] as const;
  const payload = new DataView(new ArrayBuffer(settings.length * SETTING_BYTES));
  for (const [at, [key, value]] of settings.entries()) {
    payload.setUint16(at * SETTING_BYTES, key);
    payload.setUint32(at * SETTING_BYTES + 2, value);
  }
  return new Uint8Array(payload.buffer);
}

/** Throws a {@link ConnectionError} for an invalid value. Other settings have no effect on us. */
export function checkSetting(key: number, value: number): void {
  if (key === Setting.ENABLE_PUSH && value > 1) throw protocolError('ENABLE_PUSH is neither 0 nor 1');
  if (key === Setting.INITIAL_WINDOW_SIZE && value > MAX_WINDOW_BYTES)
    throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE is too large');
  if (key === Setting.MAX_FRAME_SIZE && (value < MAX_FRAME_BYTES || value > 0xff_ffff))
    throw protocolError('MAX_FRAME_SIZE is out of its range');
}
