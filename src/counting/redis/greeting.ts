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
import { codeOf, givesUpConnection } from './error-reply.ts';

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
      if (!isPassing(error)) throw error;
    }
    if (isProxy) return true;
    this.#isProbing = true;
    try {
      await redis.eval('return 1', 0); // without a key, a proxy cannot say where to run it
      return false;
    } catch (error) {
      if (!isReply(error)) throw error;
      return !hasCode(error);
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

/** Proxies refuse without one. */
const hasCode = ({ message }: Error): boolean => !['', 'ERR'].includes(codeOf(message));

/** An ACL without PING, or a disk that is full: the next command decides. */
const isPassing = (error: unknown): boolean =>
  isReply(error) && hasCode(error) && !givesUpConnection(error.message, 'server');
