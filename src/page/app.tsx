/** The frame of the page: navigation, the state of the server, the view of the route. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { isHelpOpen, KEYS } from './keys.ts';
import { Icon } from './parts/icons.tsx';
import { linkTo, route, VIEWS, type ViewName } from './route.ts';
import { now, theme, THEMES } from './screen.ts';
import { connection, retryNow, revision } from './server.ts';
import { Candidate } from './views/candidate.tsx';
import { Decisions } from './views/decisions.tsx';
import { Handlers } from './views/handlers.tsx';
import { Limits } from './views/limits.tsx';
import { Playground } from './views/playground.tsx';
import { Policy } from './views/policy.tsx';
import { Rules } from './views/rules.tsx';

const VIEW: Readonly<Record<ViewName, () => JSX.Element>> = {
  decisions: Decisions,
  rules: Rules,
  limits: Limits,
  candidate: Candidate,
  playground: Playground,
  handlers: Handlers,
  policy: Policy,
};

export function App(): JSX.Element {
  const { view } = route.value;
  const { title } = VIEWS.find(({ name }) => name === view) ?? VIEWS[0];
  const View = VIEW[view];
  useEffect(() => {
    document.title = `${title} · Sluice`;
  }, [title]);
  return (
    <>
      <a
        class="skip"
        href="#view"
        onClick={(event) => (event.preventDefault(), document.getElementById('view')?.focus())}
      >
        Skip to the view
      </a>
      <Navigation view={view} />
      <main id="view" tabIndex={-1}>
        <Banner />
        <header class="top">
          <h1>{title}</h1>
          <Switches />
        </header>
        <View key={view} />
      </main>
      <Help />
    </>
  );
}

function Navigation({ view }: { readonly view: ViewName }): JSX.Element {
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [view]);
  return (
    <nav aria-label="Views">
      <p class="brand">
        <Icon name="sluice" />
        Sluice
      </p>
      <ul ref={list}>
        {VIEWS.map(({ name, short, key }) => (
          <li key={name}>
            <a href={linkTo(name)} aria-current={name === view ? 'page' : undefined}>
              <Icon name={name} />
              <span>{short}</span>
              <kbd aria-hidden="true">g {key}</kbd>
            </a>
          </li>
        ))}
      </ul>
      <p class="revision" title="The revision of the policy in force">
        {revision.value === null ? 'no policy' : revision.value}
      </p>
    </nav>
  );
}

function Switches(): JSX.Element {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system';
  return (
    <div class="switches">
      <button type="button" title={`Colours: ${theme.value}; switch to ${next}`} onClick={() => (theme.value = next)}>
        <Icon name={theme.value} />
        <span class="wide-only">{theme.value}</span>
      </button>
      <button type="button" class="wide-only" title="Keys (?)" onClick={() => (isHelpOpen.value = true)}>
        <kbd>?</kbd> Keys
      </button>
    </div>
  );
}

function Banner(): JSX.Element {
  const state = connection.value;
  return (
    <div role="status" aria-live="polite">
      {state.state === 'gone' && (
        <p class="banner deny">
          The server does not answer. What you see is from before; next attempt in{' '}
          {Math.max(0, Math.ceil((state.retryAt - now.value) / 1000))} s.
          <button type="button" onClick={retryNow}>
            Try now
          </button>
        </p>
      )}
      {state.state === 'not-ready' && (
        <p class="banner failed">
          {state.why === 'stopping'
            ? 'The server is draining: it finishes running calls, takes no new ones, and then stops.'
            : `The server is not ready: ${state.why}.`}
        </p>
      )}
    </div>
  );
}

function Help(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isHelpOpen.value) dialog.current?.showModal();
  }, [isHelpOpen.value]);
  return (
    <dialog ref={dialog} aria-labelledby="keys" onClose={() => (isHelpOpen.value = false)}>
      <h2 id="keys">Keys</h2>
      <dl class="keys">
        {KEYS.map(([key, does]) => (
          <div key={key}>
            <dt>
              {key.split(' ').map((one) => (
                <kbd key={one}>{one}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <button type="button" class="primary" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}
