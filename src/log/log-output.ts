/**
 * The output of Sluice's own log.
 * **In**: whole lines. **Out**: the lines on stderr, in order; a caller never waits for the reader. **Fails**: never; lines beyond the
 * buffer and lines that cannot be written are dropped and counted, and the count is reported once writing works again.
 */
import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs';

/** Writes a text to a file or stream. `done` is called once, with an error if a part of the text was not written. */
export interface TextTarget {
  write(text: string, done: (error: Error | null | undefined) => void): void;
  /** Synchronous, since the process exits. */
  writeLast(text: string): void;
}

/** Size of the buffer for a reader that stalls. */
const MAX_BYTES = 1024 * 1024;
/** Lines per system call in a burst. */
const CHUNK_LINES = 256;

export class LogOutput {
  /** Called with the number of dropped lines once a write has succeeded and the buffer is empty. */
  onRecovered: ((dropped: number) => void) | undefined;
  readonly #target: TextTarget;
  readonly #mostBytes: number;
  #buffer: string[] = [];
  /** In the buffer and in the current write. */
  #bytes = 0;
  #isWriting = false;
  #dropped = 0;
  readonly #idle = new Set<() => void>();

  constructor(target: TextTarget, mostBytes: number = MAX_BYTES) {
    this.#target = target;
    this.#mostBytes = mostBytes;
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#bytes + bytes > this.#mostBytes) {
      this.#dropped++;
      return;
    }
    this.#bytes += bytes;
    this.#buffer.push(line);
    if (!this.#isWriting) this.#next();
  }

  /** True once everything is written; false if that takes longer than `withinMs`. */
  async flushed(withinMs: number): Promise<boolean> {
    if (!this.#isWriting) return true;
    return new Promise((resolve) => {
      const end = (isFlushed: boolean): void => {
        clearTimeout(timer);
        this.#idle.delete(flushed);
        resolve(isFlushed);
      };
      const flushed = (): void => end(true);
      const timer = setTimeout(() => end(false), withinMs);
      this.#idle.add(flushed);
    });
  }

  /** Writes the buffer synchronously, since the process exits. */
  exit(): void {
    const rest = this.#buffer.splice(0).join('');
    if (rest !== '') this.#target.writeLast(rest);
  }

  #next(): void {
    const lines = this.#buffer.splice(0, CHUNK_LINES);
    if (lines.length === 0) {
      this.#isWriting = false;
      for (const resolve of this.#idle) resolve();
      return;
    }
    const text = lines.join('');
    this.#isWriting = true;
    this.#target.write(text, (error) => {
      this.#bytes -= Buffer.byteLength(text);
      if (error !== null && error !== undefined) this.#dropped += lines.length;
      else if (this.#dropped > 0 && this.#buffer.length === 0) {
        const dropped = this.#dropped;
        this.#dropped = 0;
        this.onRecovered?.(dropped);
      }
      this.#next();
    });
  }
}

// ---------------------------------------------------------- the log of this process

let output: LogOutput | undefined;
let onDropped: ((dropped: number) => void) | undefined;
let onEnd: (() => void) | undefined;
let sendLine: ((line: string) => void) | undefined;

/** Writes a text unchanged, newline included: a line of the log, or text between lines. */
export function writeLog(line: string): void {
  if (sendLine !== undefined) return sendLine(line);
  if (output === undefined) {
    const own = (output = new LogOutput(stderrTarget()));
    own.onRecovered = (dropped) => onDropped?.(dropped);
    process.once('exit', () => own.exit());
  }
  output.write(line);
}

/** Sets the function that logs how many lines were dropped. */
export function onLogDropped(report: (dropped: number) => void): void {
  onDropped = report;
}

/** Sets the function that logs what is counted and not said yet. */
export function onLogEnd(report: () => void): void {
  onEnd = report;
}

/** The process, or its worker, is about to end. */
export const endLog = (): void => onEnd?.();

/** In a worker: its supervisor writes the lines, so that lines of several workers are not interleaved. */
export function sendLogTo(send: (line: string) => void): void {
  sendLine = send;
}

/** At the end. False if the buffered lines are not read within `withinMs`; they would keep the process alive. */
export async function logFlushed(withinMs: number): Promise<boolean> {
  endLog();
  return output === undefined || output.flushed(withinMs);
}

// ---------------------------------------------------------- targets

/**
 * Pipes and sockets are written through Node's stream, which is asynchronous for them; a write that blocks a thread of the pool would
 * keep the process from exiting. Files are written directly, since Node's stream writes them synchronously.
 */
function stderrTarget(): TextTarget {
  const info = fstatSync(2);
  if (info.isFIFO() || info.isSocket()) {
    process.stderr.on('error', () => undefined); // `done` gets the error too; without a listener the event would end the process
    return {
      write: (text, done) => void process.stderr.write(text, done),
      writeLast: (text) => void process.stderr.write(text),
    };
  }
  return fileTarget(info.isCharacterDevice() ? nonBlocking(2) : 2);
}

/** Pause after EAGAIN: a terminal that was stopped with Ctrl-S. */
const RETRY_MS = 50;

export function fileTarget(fd: number): TextTarget {
  /** The last write ended in the middle of a line. */
  let isCut = false;
  return {
    write(text, done) {
      const bytes = Buffer.from(isCut ? `\n${text}` : text);
      isCut = false;
      const from = (start: number): void =>
        write(fd, bytes, start, bytes.length - start, null, (error, written) => {
          if (error !== null) {
            if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return void setTimeout(from, RETRY_MS, start);
            isCut = start > 0 && bytes[start - 1] !== NEWLINE;
            return done(error);
          }
          if (start + written < bytes.length) from(start + written);
          else done(null);
        });
      from(0);
    },
    writeLast(text) {
      try {
        writeSync(fd, isCut ? `\n${text}` : text);
      } catch {
        // the error cannot be reported anywhere
      }
    },
  };
}

const NEWLINE = 0x0a;

/** Reopens the device: O_NONBLOCK on the inherited descriptor would apply to other processes too. */
function nonBlocking(fd: number): number {
  try {
    const own = openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    process.once('exit', () => closeSync(own));
    return own;
  } catch {
    return fd;
  }
}
