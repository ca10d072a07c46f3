import type { Adapter } from '../contract.ts';
import type { HandlerEnvironment } from '../open-handler.ts';
import type { Channel, FromHandler, OpenChannel, ToHandler } from './protocol.ts';
import { Session } from './session.ts';

/**
 * A channel to a session in this thread: messages are cloned and delivered in later turns of the event loop, in order. Tests run a handler
 * over the protocol with it.
 */
export const inProcessChannel =
  (
    adapter: Adapter,
    environment: Pick<HandlerEnvironment, 'clock' | 'shared' | 'closeWithinMs' | 'restartAfterMs'>,
    /** For a test that breaks the connection. */
    onOpen?: (breakChannel: (why: string) => void) => void,
  ): OpenChannel =>
  async (events) => {
    let isOver = false;
    const session = new Session({
      ...environment,
      adapterOf: () => adapter,
      send: (messages) => deliver(messages, (cloned: FromHandler[]) => events.received(cloned)),
    });
    function deliver<M>(messages: readonly M[], receive: (cloned: M[]) => void): void {
      const cloned = structuredClone(messages) as M[];
      setImmediate(() => {
        if (!isOver) receive(cloned);
      });
    }
    function end(why: string): void {
      if (isOver) return;
      isOver = true;
      void session.end(why);
    }
    onOpen?.((why) => {
      if (isOver) return;
      end(why);
      events.gone(why);
    });
    const channel: Channel = {
      send: (messages) => deliver(messages, (cloned: ToHandler[]) => session.receive(cloned)),
      end,
    };
    return channel;
  };
