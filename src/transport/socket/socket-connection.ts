import type { Socket } from 'node:net';
import type { Peer, Serve } from '../exchange.ts';
import { Connection, type Outlet } from '../h2/connection.ts';
import { ErrorCode, PREFACE } from '../h2/frames.ts';
import type { Limits } from '../limits.ts';
import { MAX_AFTER_AGE_MS } from '../raw-sockets.ts';
import { SocketPeer } from '../socket-peer.ts';
import { readInto } from './read-into.ts';

export interface SocketConnectionOptions {
  readonly serve: Serve;
  readonly limits: Limits;
  readonly onFault: (error: unknown) => void;
  readonly onClose: () => void;
  /** At this age the connection is drained, so that its peer reconnects, perhaps to another server. After as long again it is closed. */
  readonly maxAgeMs?: number;
  /** Called once, before the connection reads them. `peer`: its address. */
  readonly onFirstBytes?: (first: Uint8Array, peer: string) => void;
}

/** Reading pauses while more than this waits to be sent. */
const FULL_BYTES = 256 * 1024;
/** Time for which the peer may leave our output unread. */
const STALL_MS = 20_000;
/** Time allowed to receive the HTTP/2 preface. */
const PREFACE_MS = 10_000;
/** A connection that is silent this long gets a PING, and is closed if it does not answer. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_ANSWER_MS = 20_000;

/** One connection on a socket: reads, writes once a turn, and closes silent or stalled peers. */
export class SocketConnection implements Outlet {
  readonly peer: Peer;
  readonly #socket: Socket;
  readonly #connection: Connection;
  readonly #maxAtMs: number;
  /** From its retirement on: a tick may be late by more than that time. */
  #endsAtMs = Infinity;
  readonly #retiresForMs: number;
  #onFirstBytes: SocketConnectionOptions['onFirstBytes'];
  readonly #openedAtMs = performance.now();
  #receivedAtMs = performance.now();
  #receivedBytes = 0;
  #pingedAtMs: number | undefined;
  #fullSinceMs: number | undefined;

  constructor(socket: Socket, { onClose, onFirstBytes, maxAgeMs = Infinity, ...options }: SocketConnectionOptions) {
    this.#socket = socket;
    // 5 % jitter either way, so that connections opened together do not all close together.
    this.#maxAtMs = this.#openedAtMs + maxAgeMs * (0.95 + Math.random() / 10);
    this.#retiresForMs = Math.min(maxAgeMs, MAX_AFTER_AGE_MS);
    this.peer = new SocketPeer(socket);
    this.#connection = new Connection({
      ...options,
      outlet: this,
      peer: this.peer,
      nowMs: () => performance.now(),
    });
    this.#onFirstBytes = onFirstBytes;
    readInto(socket, (bytes, length) => {
      if (this.#onFirstBytes !== undefined) this.#first(bytes.subarray(0, length));
      return this.#connection.receive(bytes, length);
    });
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

  #first(bytes: Uint8Array): void {
    this.#onFirstBytes?.(bytes, this.peer.address);
    this.#onFirstBytes = undefined;
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
    // Bounds how long a peer that does not close its side keeps the socket open.
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

  /** Once a second. */
  tick(nowMs: number): void {
    const { bytesRead } = this.#socket;
    if (bytesRead > this.#receivedBytes) {
      this.#receivedBytes = bytesRead;
      this.#receivedAtMs = nowMs;
      this.#pingedAtMs = undefined;
    }
    if (this.#fullSinceMs !== undefined && nowMs - this.#fullSinceMs > STALL_MS) return this.destroy();
    if (bytesRead < PREFACE.length && nowMs - this.#openedAtMs > PREFACE_MS)
      return this.#connection.end(ErrorCode.SETTINGS_TIMEOUT, 'no HTTP/2 preface was received in time');
    if (this.#pingedAtMs !== undefined && nowMs - this.#pingedAtMs > KEEPALIVE_ANSWER_MS) return this.destroy();
    if (nowMs > this.#endsAtMs)
      return this.#connection.end(ErrorCode.NO_ERROR, 'the connection has reached its maximum age');
    if (nowMs > this.#maxAtMs) {
      this.#endsAtMs = Math.min(this.#endsAtMs, nowMs + this.#retiresForMs);
      this.#connection.retire();
    }
    this.#connection.tick(nowMs);
    if (nowMs - this.#receivedAtMs > KEEPALIVE_MS && this.#pingedAtMs === undefined) {
      this.#pingedAtMs = nowMs;
      this.#connection.ping();
    }
  }
}
