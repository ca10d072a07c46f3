/**
 * Handles the frames of the peer (RFC 9113 section 6).
 * **In**: whole frames, in order. **Out**: calls of the {@link Streams}; acknowledgements in the output.
 * **Fails**: a stream by RST_STREAM; with a {@link ConnectionError} if the frame is not allowed.
 */
import { ErrorCode, Flag, frameSizeError, FrameType, protocolError, uint32At } from './frames.ts';
import { type HeaderBlock, HeadReader } from './head-reader.ts';
import type { IdleBudget } from './idle-budget.ts';
import { checkSetting, SETTING_BYTES, Setting } from './settings.ts';
import type { Streams } from './streams.ts';

/** This many settings in a SETTINGS frame cost the peer one token; six are defined, and unknown ones are ignored. */
const SETTINGS_PER_TOKEN = 32;

export class FrameHandler {
  readonly #streams: Streams;
  readonly #budget: IdleBudget;
  readonly #heads: HeadReader;
  readonly #onPong: () => void;
  #hasSettings = false;
  /** An incomplete header block. */
  #block: HeaderBlock | undefined;

  /** `onPong`: the peer has answered our PING. */
  constructor(streams: Streams, budget: IdleBudget, onPong: () => void) {
    this.#streams = streams;
    this.#budget = budget;
    this.#onPong = onPong;
    this.#heads = new HeadReader(streams.limits);
  }

  /** The incomplete header block; a different object for each block. */
  get partial(): unknown {
    return this.#block;
  }

  /** The frame's head begins at `head`, its payload at `from`. */
  frame(bytes: Uint8Array, head: number, from: number, to: number): void {
    const type = bytes[head + 3] as number;
    const flags = bytes[head + 4] as number;
    const id = uint32At(bytes, head + 5) & 0x7fff_ffff;
    if (this.#block !== undefined && type !== FrameType.CONTINUATION)
      throw protocolError('a header block is interrupted by another frame');
    if (!this.#hasSettings && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0))
      throw protocolError('the first frame is not SETTINGS');
    switch (type) {
      case FrameType.DATA:
        return this.#data(bytes, from, to, flags, id);
      case FrameType.HEADERS:
        return this.#headers(bytes, from, to, flags, id);
      case FrameType.PRIORITY:
        return this.#priority(bytes, from, to, id);
      case FrameType.RST_STREAM:
        return this.#reset(from, to, id);
      case FrameType.SETTINGS:
        return this.#settings(bytes, from, to, flags, id);
      case FrameType.PUSH_PROMISE:
        throw protocolError('clients must not push');
      case FrameType.PING:
        return this.#ping(bytes, from, to, flags, id);
      case FrameType.GOAWAY:
        if (id !== 0) throw protocolError('GOAWAY on a stream');
        if (to - from < 8) throw frameSizeError('GOAWAY');
        return this.#budget.spend();
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(bytes, from, to, id);
      case FrameType.CONTINUATION:
        return this.#continuation(bytes, from, to, flags, id);
      default:
        return this.#budget.spend(); // RFC 9113 section 5.5: ignored
    }
  }

  #data(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id === 0) throw protocolError('DATA on stream 0');
    const length = to - from;
    let begin = from;
    let end = to;
    if ((flags & Flag.PADDED) !== 0) {
      if (length === 0) throw frameSizeError('DATA');
      if ((bytes[from] as number) >= length) throw protocolError('DATA has more padding than bytes');
      end -= bytes[from] as number;
      begin += 1;
    }
    this.#streams.data(bytes, begin, end, length, id, (flags & Flag.END_STREAM) !== 0);
  }

  #headers(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id % 2 === 0) throw protocolError(`HEADERS on stream ${id}: streams of clients have odd ids`);
    let begin = from;
    let end = to;
    if ((flags & Flag.PADDED) !== 0) {
      if (begin === end) throw frameSizeError('HEADERS');
      end -= bytes[begin++] as number;
    }
    let dependsOnItself = false;
    if ((flags & Flag.PRIORITY) !== 0) {
      if (to - begin < 5) throw frameSizeError('HEADERS');
      dependsOnItself = (uint32At(bytes, begin) & 0x7fff_ffff) === id;
      begin += 5;
    }
    if (begin > end) throw protocolError('HEADERS has more padding than bytes');
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    if ((flags & Flag.END_HEADERS) !== 0) return this.#headerBlock(bytes, begin, end, id, isEnd, dependsOnItself);
    this.#block = this.#heads.beginBlock(id, isEnd, dependsOnItself);
    this.#block.add(bytes, begin, end);
  }

  #continuation(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    const block = this.#block;
    if (block === undefined || block.id !== id) throw protocolError('CONTINUATION without a header block');
    if (from === to) this.#budget.spend();
    block.add(bytes, from, to);
    if ((flags & Flag.END_HEADERS) === 0) return;
    this.#block = undefined;
    this.#headerBlock(block.bytes, 0, block.length, id, block.isEnd, block.dependsOnItself);
  }

  /** Decodes every block, even of a refused stream, so that the table stays equal to the peer's. */
  #headerBlock(
    bytes: Uint8Array,
    from: number,
    to: number,
    id: number,
    isEnd: boolean,
    dependsOnItself: boolean,
  ): void {
    const streams = this.#streams;
    if (id > streams.lastId) streams.open(id, this.#heads.head(bytes, from, to), isEnd, dependsOnItself);
    else streams.trailers(id, isEnd, this.#heads.trailersProblem(bytes, from, to));
  }

  #priority(bytes: Uint8Array, from: number, to: number, id: number): void {
    if (id === 0) throw protocolError('PRIORITY on stream 0');
    if (to - from !== 5) return this.#streams.reset(id, ErrorCode.FRAME_SIZE_ERROR);
    if ((uint32At(bytes, from) & 0x7fff_ffff) === id) return this.#streams.reset(id, ErrorCode.PROTOCOL_ERROR);
    this.#budget.spend();
  }

  #reset(from: number, to: number, id: number): void {
    if (id === 0 || id > this.#streams.lastId)
      throw protocolError(`RST_STREAM on stream ${id}, which was never opened`);
    if (to - from !== 4) throw frameSizeError('RST_STREAM');
    this.#streams.cancelled(id);
    this.#budget.spend();
  }

  #settings(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id !== 0) throw protocolError('SETTINGS on a stream');
    if ((flags & Flag.ACK) !== 0) {
      if (to > from) throw frameSizeError('SETTINGS');
      return this.#budget.spend();
    }
    if ((to - from) % SETTING_BYTES !== 0) throw frameSizeError('SETTINGS');
    const isFirst = !this.#hasSettings;
    this.#hasSettings = true;
    const tokens = Math.floor((to - from) / SETTING_BYTES / SETTINGS_PER_TOKEN) + (isFirst ? 0 : 1);
    for (let token = 0; token < tokens; token++) this.#budget.spend();
    const streams = this.#streams;
    let window: number | undefined;
    for (let at = from; at < to; at += SETTING_BYTES) {
      const key = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      const value = uint32At(bytes, at + 2) >>> 0;
      checkSetting(key, value);
      if (key === Setting.INITIAL_WINDOW_SIZE) window = value;
      else if (key === Setting.HEADER_TABLE_SIZE) streams.headers.tableBytes(value);
    }
    if (window !== undefined) streams.setInitialSendWindow(window);
    streams.output.frame(FrameType.SETTINGS, Flag.ACK, 0, NO_BYTES);
    streams.pumpBlocked();
  }

  #ping(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id !== 0) throw protocolError('PING on a stream');
    if (to - from !== 8) throw frameSizeError('PING');
    this.#budget.spend();
    if ((flags & Flag.ACK) !== 0) this.#onPong();
    else this.#streams.output.frame(FrameType.PING, Flag.ACK, 0, bytes.subarray(from, to));
  }

  #windowUpdate(bytes: Uint8Array, from: number, to: number, id: number): void {
    if (to - from !== 4) throw frameSizeError('WINDOW_UPDATE');
    const more = uint32At(bytes, from) & 0x7fff_ffff;
    this.#budget.spend();
    if (id !== 0) return this.#streams.widenStream(id, more);
    if (more === 0) throw protocolError('WINDOW_UPDATE by nothing');
    this.#streams.widen(more);
  }
}

const NO_BYTES = new Uint8Array(0);
