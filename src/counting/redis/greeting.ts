/**
 * The first commands over a new connection to one server: whether it serves, and whether a proxy is before it (twemproxy, Envoy's
 * redis_proxy), which may spread keys over several servers.
 * **In**: a client whose connection is open. **Out**: whether there is a proxy. **Fails**: with the server's refusal, or the error of the
 * connection.
 *
 * twemproxy closes the connection for a command that it does not know (HELLO, INFO, CLIENT), without an answer to those before it. So one
 * command is sent at a time, and the next connection is not asked again.
 */
import { type Redis, ReplyError } from 'ioredis';
import { hasCode, isPassing } from './error-reply.ts';

export class Greeter {
  #isProbing = false;
  /** The connection before was closed in place of an answer to the probe. */
  #isProxy = false;

  /** Whether a proxy is there: a command then reaches the server of its first key, and a script finds no other keys. */
  async greet(redis: Redis): Promise<boolean> {
    const isProxy = this.#isProxy;
    this.#isProxy = false; // the address may lead elsewhere by the next time
    try {
      await redis.ping();
    } catch (error) {
      if (!isReply(error) || !isPassing(error.message)) throw error;
    }
    if (isProxy) return true;
    this.#isProbing = true;
    try {
      await redis.eval('return 1', 0); // without a key, a proxy cannot say where to run it
      return false;
    } catch (error) {
      if (!isReply(error)) throw error;
      return !hasCode(error.message); // proxies refuse without one
    } finally {
      this.#isProbing = false;
    }
  }

  /** To be called when the connection is closed. Returns whether it was for the probe. */
  closed(): boolean {
    this.#isProxy ||= this.#isProbing;
    return this.#isProbing;
  }
}

const isReply = (error: unknown): error is Error => error instanceof ReplyError;
