import type { CallMessage } from './protocol.ts';

/**
 * Whether a call may be asked twice, because it changes nothing, or says by a key that it is the same one. Reports are not among them:
 * their delivery writes them again, with the same ids.
 */
export function isRepeatable(message: CallMessage): boolean {
  switch (message.kind) {
    case 'ask':
    case 'look':
    case 'renderPage':
      return true;
    case 'charge':
      return message.asks.every(
        ({ kind, idempotencyKey }) =>
          kind === 'look' || ((kind === 'spend' || kind === 'release') && idempotencyKey !== undefined),
      );
    case 'write':
    case 'reset':
      return false;
  }
}
