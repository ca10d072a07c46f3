import type { Socket } from 'node:net';
import { addressText } from '../address.ts';
import type { Serve } from '../exchange.ts';
import { Connection, type Outlet } from '../h2/connection.ts';
import { ErrorCode, PREFACE } from '../h2/frames.ts';
import type { Limits } from '../limits.ts';
import { MOST_AFTER_AGE_MS } from '../raw-sockets.ts';

export interface SocketConnectionOptions {
  readonly serve: Serve;
  readonly limits: Limits;
  readonly onFault: (error: unknown) => void;
  readonly onClose: () => void;
  /** After it the connection is drained: its peer connects anew, perhaps to another server. After as long again it is closed. */
  readonly maxAgeMs?: number;
}

/** Written and not yet read by the peer: beyond it nothing more is read of what it asks. */
const FULL_BYTES = 256 * 1024;
/** How long a peer may read nothing of what is written. */
const STALL_MS = 20_000;
/** How long a connection may take to say its first request's worth. */
const PREFACE_MS = 10_000;
/** After so long without a word it is asked whether it is there, and closed where it says nothing. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_ANSWER_MS = 20_000;

/** One connection of a socket: reads, writes once a turn, and looks after those that fell silent. */
export class SocketConnection implements Outlet {
  readonly peer: string;
  readonly #socket: Socket;
  readonly #connection: Connection;
  readonly #maxAtMs: number;
  readonly #endsAtMs: number;
  readonly #openedAtMs = performance.now();
  #heardAtMs = performance.now();
  #heardBytes = 0;
  #pingedAtMs: number | undefined;
  #fullSinceMs: number | undefined;

  constructor(socket: Socket, { serve, limits, onFault, onClose, maxAgeMs = Infinity }: SocketConnectionOptions) {
    this.#socket = socket;
    // Spread by a tenth, so that those which came together do not go together.
    this.#maxAtMs = this.#openedAtMs + maxAgeMs * (0.95 + Math.random() / 10);
    this.#endsAtMs = this.#maxAtMs + Math.min(maxAgeMs, MOST_AFTER_AGE_MS);
    const { remoteAddress = 'unix:', remotePort = 0 } = socket;
    this.peer = addressText({ host: remoteAddress, port: remotePort });
    this.#connection = new Connection({
      outlet: this,
      serve,
      limits,
      peer: this.peer,
      onFault,
      nowMs: () => performance.now(),
    });
    socket.on('data', (chunk: Buffer) => this.#connection.receive(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('end', () => {
      this.#connection.lost();
      socket.end();
    });
    socket.on('error', () => {}); // close follows
    socket.on('close', () => {
      this.#connection.lost();
      onClose();
    });
  }

  // ---------------------------------------------------------- the outlet

  get isFull(): boolean {
    return this.#socket.writableLength > FULL_BYTES;
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (!socket.writable) return true;
    socket.write(bytes);
    const waiting = socket.writableLength;
    if (waiting > FULL_BYTES && this.#fullSinceMs === undefined) {
      this.#fullSinceMs = performance.now();
      socket.pause();
    }
    return waiting === 0;
  }

  soon(flush: () => void): void {
    setImmediate(flush);
  }

  close(): void {
    this.#socket.end();
    // Whoever does not close its side keeps ours open no longer than this.
    const timer = setTimeout(() => this.#socket.destroy(), 1000);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
  }

  #drained(): void {
    if (this.#fullSinceMs !== undefined) {
      this.#fullSinceMs = undefined;
      this.#socket.resume();
    }
    this.#connection.drained();
    this.#connection.flush();
  }

  // ---------------------------------------------------------- its life

  drain(): void {
    this.#connection.drain();
  }

  finishDrain(): void {
    this.#connection.finishDrain();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Now and then. */
  tick(nowMs: number): void {
    const { bytesRead } = this.#socket;
    if (bytesRead > this.#heardBytes) {
      this.#heardBytes = bytesRead;
      this.#heardAtMs = nowMs;
      this.#pingedAtMs = undefined;
    }
    if (this.#fullSinceMs !== undefined && nowMs - this.#fullSinceMs > STALL_MS) return this.destroy();
    if (bytesRead < PREFACE.length && nowMs - this.#openedAtMs > PREFACE_MS)
      return this.#connection.end(ErrorCode.SETTINGS_TIMEOUT, 'the connection says nothing');
    if (this.#pingedAtMs !== undefined && nowMs - this.#pingedAtMs > KEEPALIVE_ANSWER_MS) return this.destroy();
    if (nowMs > this.#endsAtMs) return this.#connection.end(ErrorCode.NO_ERROR, 'the connection is too old');
    if (nowMs > this.#maxAtMs) this.#connection.retire();
    this.#connection.tick(nowMs);
    if (nowMs - this.#heardAtMs > KEEPALIVE_MS && this.#pingedAtMs === undefined) {
      this.#pingedAtMs = nowMs;
      this.#connection.ping();
    }
  }
}
