/** How the tool reaches its results, what it does not claim, and a glossary. */
import { explanations, fetchExplanations } from '../state/explanations';
import { TERMS, type Term } from '../terms';
import { Heading } from './heading';

const PAPER = 'https://arxiv.org/abs/2606.19491';

export function HowItWorks() {
  return (
    <section id="how" class="how" aria-labelledby="how-heading">
      <Heading of="how">How this works</Heading>
      <div class="columns">
        <ol class="maths">
          <li>
            <span class="formula">y = γ ⊙ x̂ + β</span>
            <span>A norm scales its normalised input x̂, channel by channel, and may add a shift.</span>
          </li>
          <li>
            <span class="formula">1ᵀx̂ = 0</span>
            <span>LayerNorm subtracts the mean, so this holds for every input. RMSNorm does not.</span>
          </li>
          <li>
            <span class="formula">v = γ⁻¹ / ‖γ⁻¹‖</span>
            <span>Then y has no variance along v, for any data. v follows from the scale alone.</span>
          </li>
          <li>
            <span class="formula">{'Z = { i : γᵢ = 0 }'}</span>
            <span>If scales are exactly zero, those channels are the kernel, and γ⁻¹ does not exist.</span>
          </li>
          <li>
            <span class="formula">W ← W + a vᵀ, b ← b − a vᵀβ</span>
            <span>A linear reader that is changed this way computes the same function. It has one dead direction per row.</span>
          </li>
        </ol>
        <div class="prose">
          <h3>Limits</h3>
          <ul>
            <li>
              A checkpoint stores scales, not code. Gammascope infers whether a site subtracts the mean from the configuration,
              names, shifts, values and what training left in the weights. This is evidence, not proof. If it is thin or
              contradicts itself, the kind is unknown.
            </li>
            <li>If a site is a LayerNorm, v is exact. If it is not, v means nothing.</li>
            <li>Opening a checkpoint does not run the model. Counts below τ are predictions for isotropic inputs.</li>
            <li>You can change dead parameters freely. That does not mean that you can remove them.</li>
          </ul>
          <p>
            The method:{' '}
            <a href={PAPER} rel="noreferrer">
              Algebraic Dead Directions in LayerNorm Transformers, arXiv 2606.19491
            </a>
            .
          </p>
        </div>
      </div>
      <details class="glossary" onToggle={fetchExplanations}>
        <summary>Every term on this page</summary>
        <dl>
          {(Object.keys(TERMS) as Term[]).map((term) => (
            <div key={term}>
              <dt>{TERMS[term]}</dt>
              <dd>{explanations.value?.[term]}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}
