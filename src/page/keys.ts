/** The keyboard: one listener; a table, a filter box and a panel say what its keys do while they are shown. */
import { signal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { go, VIEWS } from './route.ts';

export interface Commands {
  next?(): void;
  previous?(): void;
  open?(): void;
  close?(): void;
  filter?(): void;
  pause?(): void;
}

export const isHelpOpen = signal(false);

/** Of the parts that are shown. The innermost that knows a command runs it. */
const layers: { current: Commands }[] = [];

/** Takes effect with the rendering: effects would run after the next key of a fast typist. */
export function useCommands(commands: Commands): void {
  const layer = useRef(commands);
  layer.current = commands;
  useLayoutEffect(() => {
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
    };
  }, []);
}

const COMMAND_OF_KEY: Readonly<Record<string, keyof Commands>> = {
  j: 'next',
  ArrowDown: 'next',
  k: 'previous',
  ArrowUp: 'previous',
  Enter: 'open',
  Escape: 'close',
  '/': 'filter',
  p: 'pause',
};

export const KEYS: readonly (readonly [key: string, does: string])[] = [
  ['/', 'Write a filter'],
  ['j k', 'Next row, previous row'],
  ['Enter', 'Open the row'],
  ['Esc', 'Close, or leave the filter'],
  ['p', 'Pause or resume live decisions'],
  ...VIEWS.map(({ key, title }) => [`g ${key}`, title] as const),
  ['?', 'This help'],
];

const LEADER_MS = 1500;
let leaderAt = -Infinity;

const isWriting = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
/** Its own meaning of Enter goes first. */
const isPressable = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && /^(BUTTON|A|SUMMARY)$/.test(target.tagName);

export function listenForKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isHelpOpen.value) return;
    if (isWriting(event.target)) {
      if (event.key === 'Escape') (event.target as HTMLElement).blur();
      return;
    }
    if (run(event)) event.preventDefault();
  });
}

function run({ key, target, timeStamp }: KeyboardEvent): boolean {
  const isAfterLeader = timeStamp - leaderAt < LEADER_MS;
  leaderAt = -Infinity;
  const view = isAfterLeader ? VIEWS.find((one) => one.key === key) : undefined;
  if (view !== undefined) {
    go(view.name);
    return true;
  }
  if (key === 'g') {
    leaderAt = timeStamp;
    return true;
  }
  if (key === '?') {
    isHelpOpen.value = true;
    return true;
  }
  const command = COMMAND_OF_KEY[key];
  if (command === undefined || (key === 'Enter' && isPressable(target))) return false;
  const act = layers.findLast(({ current }) => current[command] !== undefined)?.current[command];
  act?.();
  return act !== undefined;
}
