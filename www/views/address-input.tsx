/** A field for an address or the name of a model on a hub, without correction or completion by the browser. */
type Props = {
  name: string;
  value: string;
  onValue: (value: string) => void;
  placeholder: string;
  id?: string;
  label?: string;
  required?: boolean;
};

export function AddressInput({ name, value, onValue, placeholder, id, label, required = true }: Props) {
  return (
    <input
      id={id}
      class={`pick-${name}`}
      type="text"
      inputMode="url"
      autocomplete="off"
      autocapitalize="off"
      spellcheck={false}
      required={required}
      aria-label={label}
      placeholder={placeholder}
      value={value}
      onInput={(event) => onValue(event.currentTarget.value)}
    />
  );
}
