/** A box for filters, and buttons for the most used one. */
import type { ComponentChildren, JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { useCommands } from '../keys.ts';

export function FilterBox({
  label,
  placeholder,
  value,
  onChange,
  isWrong = false,
}: {
  readonly label: string;
  readonly placeholder: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly isWrong?: boolean;
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  useCommands({
    filter() {
      input.current?.focus();
      input.current?.select();
    },
  });
  return (
    <label class={isWrong ? 'filter wrong' : 'filter'}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5l3 3" />
      </svg>
      <input
        ref={input}
        type="search"
        aria-invalid={isWrong}
        aria-label={label}
        placeholder={placeholder}
        value={value}
        autocomplete="off"
        spellcheck={false}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}

export function Choices<C extends string>({
  label,
  choices,
  chosen,
  onChoose,
}: {
  readonly label: string;
  readonly choices: readonly (readonly [value: C, text: ComponentChildren])[];
  readonly chosen: C;
  readonly onChoose: (choice: C) => void;
}): JSX.Element {
  return (
    <div class="choices" role="group" aria-label={label}>
      {choices.map(([value, text]) => (
        <button type="button" aria-pressed={value === chosen} onClick={() => onChoose(value)}>
          {text}
        </button>
      ))}
    </div>
  );
}
