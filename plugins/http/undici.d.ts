/**
 * Modules of undici that are loaded by their own paths. Its main module loads four times as much, and replaces the dispatcher of Node's
 * `fetch` for the whole process, that of other plugins included.
 */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  export default Pool;
}
declare module 'undici/lib/core/connect.js' {
  import { buildConnector } from 'undici';
  export default buildConnector;
}
declare module 'undici/lib/core/symbols.js' {
  const symbols: {
    /** An option of `dispatch`: it is given a function that takes the request out of the queue, if it waits for a connection. */
    readonly kQueuedAbort: symbol;
  };
  export default symbols;
}
