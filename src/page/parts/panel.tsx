/** The details of a row, beside the table; on a phone over it. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { useCommands } from '../keys.ts';

export function Panel({
  title,
  label,
  onClose,
  children,
}: {
  readonly title: ComponentChildren;
  readonly label: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  const close = useRef<HTMLButtonElement>(null);
  const before = useRef<Element | null>(null);
  useEffect(() => {
    before.current = document.activeElement;
    close.current?.focus({ preventScroll: true });
    return () => {
      if (before.current instanceof HTMLElement) before.current.focus({ preventScroll: true });
    };
  }, [label]);
  useCommands({ close: onClose });
  return (
    <aside class="panel" aria-label={label}>
      <header>
        <h2>{title}</h2>
        <button ref={close} type="button" class="icon" aria-label="Close" title="Close (Esc)" onClick={onClose}>
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M4 4l8 8M12 4l-8 8" />
          </svg>
        </button>
      </header>
      <div class="content">{children}</div>
    </aside>
  );
}

/** Below the heading of a panel; `isTop`: below that of the view. */
export function Section({
  title,
  isTop = false,
  children,
}: {
  readonly title: string;
  readonly isTop?: boolean;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <section>
      {isTop ? <h2>{title}</h2> : <h3>{title}</h3>}
      {children}
    </section>
  );
}

/** Facts of a view, by name. */
export function Facts({
  facts,
}: {
  readonly facts: readonly (readonly [name: string, value: ComponentChildren])[];
}): JSX.Element {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
