/**
 * The page of the admin port: live decisions, rules, limits, handlers, policy, candidate, playground.
 * **In**: JSON of the same port. **Out**: one page, without assets from elsewhere. **Fails**: with a state of the view; see `server.ts`.
 */
import { render } from 'preact';
import { App } from './app.tsx';
import { listenForKeys } from './keys.ts';
import { watchServer } from './server.ts';

listenForKeys();
void watchServer();
// a task of its own: compiling the script takes one already
setTimeout(() => render(<App />, document.getElementById('page') ?? document.body));
