/**
 * Where the lines of Sluice's own log go.
 * **In**: whole lines. **Out**: the same on stderr, in order; a caller never waits for the reader. **Fails**: never; lines beyond the
 * buffer and lines that cannot be written are dropped and counted, and the count is told once writing works again.
 */
import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs';

/** Hands a text to the system. `done` is called once, with the system's error where some of the text was not taken. */
export interface TextTarget {
  write(text: string, done: (error: Error | null | undefined) => void): void;
  /** The last of it, while the process exits: nothing asynchronous happens any more. */
  writeLast(text: string): void;
}

/** A reader that stands still may miss so much before lines are dropped. */
const MOST_BYTES = 1024 * 1024;
/** Written at once, so that the lines of a burst cost one system call. */
const CHUNK_LINES = 256;

export class LogOutput {
  /** Told how many lines were dropped since it was last told; called when a write has succeeded and nothing waits. */
  onRecovered: ((dropped: number) => void) | undefined;
  readonly #target: TextTarget;
  readonly #mostBytes: number;
  #waiting: string[] = [];
  /** Of what waits and what is being written. */
  #bytes = 0;
  #isWriting = false;
  #dropped = 0;
  readonly #idle = new Set<() => void>();

  constructor(target: TextTarget, mostBytes: number = MOST_BYTES) {
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
    this.#waiting.push(line);
    if (!this.#isWriting) this.#next();
  }

  /** True when all is written; false where that takes longer than `withinMs`. */
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

  /** What waits is handed over without waiting, since the process exits. */
  exit(): void {
    const rest = this.#waiting.splice(0).join('');
    if (rest !== '') this.#target.writeLast(rest);
  }

  #next(): void {
    const lines = this.#waiting.splice(0, CHUNK_LINES);
    if (lines.length === 0) {
      this.#isWriting = false;
      for (const told of this.#idle) told();
      return;
    }
    const text = lines.join('');
    this.#isWriting = true;
    this.#target.write(text, (error) => {
      this.#bytes -= Buffer.byteLength(text);
      if (error !== null && error !== undefined) this.#dropped += lines.length;
      else if (this.#dropped > 0 && this.#waiting.length === 0) {
        const dropped = this.#dropped;
        this.#dropped = 0;
        this.onRecovered?.(dropped);
      }
      this.#next();
    });
  }
}

// ---------------------------------------------------------- of this process

let output: LogOutput | undefined;
let onDropped: ((dropped: number) => void) | undefined;
let sendLine: ((line: string) => void) | undefined;

/** A line as it is, its end included: of the log, or of what stands between its lines. */
export function writeLog(line: string): void {
  if (sendLine !== undefined) return sendLine(line);
  if (output === undefined) {
    const own = (output = new LogOutput(stderrTarget()));
    own.onRecovered = (dropped) => onDropped?.(dropped);
    process.once('exit', () => own.exit());
  }
  output.write(line);
}

/** Who says in the log that lines of it are missing. */
export function onLogDropped(tell: (dropped: number) => void): void {
  onDropped = tell;
}

/** In a worker: its supervisor writes the lines, so that those of several workers neither mix nor wait for each other. */
export function sendLogTo(send: (line: string) => void): void {
  sendLine = send;
}

/** False where lines still wait after `withinMs`, since nobody reads them; they would keep the process from ending by itself. */
export async function logFlushed(withinMs: number): Promise<boolean> {
  return output === undefined || output.flushed(withinMs);
}

// ---------------------------------------------------------- what the system takes

/**
 * Pipes and sockets go through Node's stream, which waits in the event loop. Files do not, since its stream writes them
 * synchronously; a pipe must not, since a write that blocks a thread of the pool would keep the process from exiting.
 */
export function stderrTarget(): TextTarget {
  const info = fstatSync(2);
  if (info.isFIFO() || info.isSocket()) {
    process.stderr.on('error', () => undefined); // each write is told of its own error; unheard, the event would end the process
    return {
      write: (text, done) => void process.stderr.write(text, done),
      writeLast: (text) => void process.stderr.write(text),
    };
  }
  return fileTarget(info.isCharacterDevice() ? nonBlocking(2) : 2);
}

/** A terminal that was stopped with Ctrl-S takes nothing either. */
const AGAIN_MS = 50;

export function fileTarget(fd: number): TextTarget {
  /** The last write ended within a line. */
  let isCut = false;
  return {
    write(text, done) {
      const bytes = Buffer.from(isCut ? `\n${text}` : text);
      isCut = false;
      const from = (start: number): void =>
        write(fd, bytes, start, bytes.length - start, null, (error, written) => {
          if (error !== null) {
            if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return void setTimeout(from, AGAIN_MS, start);
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
        // nobody is left to be told
      }
    },
  };
}

const NEWLINE = 0x0a;

/** The same device by a description of our own: whether others wait for it is theirs to say. */
function nonBlocking(fd: number): number {
  try {
    const own = openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    process.once('exit', () => closeSync(own));
    return own;
  } catch {
    return fd;
  }
}
