"""What a laboratory measures of two-level systems: relaxation rates, heat capacity, internal friction, conductivity.

Independent TLS in equilibrium, each with E, Δ₀ ≤ E and couplings γ_l, γ_t to long waves of an isotropic elastic
continuum: Anderson, Halperin, Varma, Phil. Mag. 25, 1 (1972); Jäckle, Z. Phys. 257, 212 (1972); Gilroy, Phillips,
Phil. Mag. B 43, 735 (1981); Phillips, Rep. Prog. Phys. 50, 1657 (1987).

Any units that fit each other; ``kT`` is an energy. Functions of temperatures (n_T,) and TLS (n,) give what each TLS
adds, shape (n_T, n), so that sums can be weighted.
"""

from dataclasses import dataclass

import numpy as np

from glass.arrays import Array


@dataclass(frozen=True)
class Medium:
    """The glass as an elastic continuum."""

    density: float  # ρ, mass over volume
    longitudinal: float  # Sound velocities
    transverse: float
    hbar: float  # ħ in energy times time


def one_phonon_rate(
    splitting: Array, amplitude: Array, longitudinal: Array, transverse: Array, medium: Medium, kT: Array
) -> Array:
    """1/τ₁ = (γ_l²/v_l⁵ + 2 γ_t²/v_t⁵) Δ₀² E coth(E/2kT)/(2π ρ ħ⁴), shape (n_T, n); Jäckle (1972)."""
    phonons = longitudinal**2 / medium.longitudinal**5 + 2 * transverse**2 / medium.transverse**5
    at_rest = phonons * amplitude**2 * splitting / (2 * np.pi * medium.density * medium.hbar**4)
    return np.asarray(at_rest / np.tanh(splitting / (2 * kT[:, None])))


def activated_rate(attempts: tuple[Array, Array], barriers: tuple[Array, Array], kT: Array) -> Array:
    """ν_i e^(−V_i/kT) + ν_j e^(−V_j/kT), shape (n_T, n): classical, for kT above about ħω."""
    return np.asarray(sum(nu * np.exp(-high / kT[:, None]) for nu, high in zip(attempts, barriers, strict=True)))


def heat_capacity(splitting: Array, kT: Array) -> Array:
    """C/k = x² sech² x, x = E/2kT: shape (n_T, n)."""
    x = splitting / (2 * kT[:, None])
    return np.asarray((x * _sech(x)) ** 2)


def relaxation_loss(
    splitting: Array, amplitude: Array, coupling: Array, rates: Array, modulus: float, omega: float, kT: Array
) -> Array:
    """Q⁻¹ times volume by relaxation: (γ²/kT)(Δ/E)² sech²(E/2kT) ωτ/(1 + ω²τ²)/(ρ v²), shape (n_T, n)."""
    tilted = 1 - np.minimum(amplitude / splitting, 1) ** 2
    strength = coupling**2 * tilted * _sech(splitting / (2 * kT[:, None])) ** 2 / kT[:, None]
    return np.asarray(strength * omega * rates / (rates**2 + omega**2) / modulus)


def resonant_loss(strength: Array, omega: float, hbar: float, kT: Array) -> Array:
    """Q⁻¹ = π C tanh(ħω/2kT) of resonant absorption at low power; ``strength`` is C = P̄γ²/(ρ v²), shape (n_T, …)."""
    return np.asarray(np.pi * np.multiply.outer(np.tanh(hbar * omega / (2 * kT)), strength))


def tunnelling_weight(splitting: Array, amplitude: Array, window: float) -> Array:
    """(Δ₀/E)²/W of each TLS with E < W, else 0, shape (n,).

    Its sum over a volume is P̄ of the standard model, and with γ² it is P̄γ².
    """
    return np.where(splitting < window, np.minimum(amplitude / splitting, 1) ** 2 / window, 0.0)


def thermal_conductivity(longitudinal: Array, transverse: Array, medium: Medium, kT: Array) -> Array:
    """κ/k = ρ (kT)² (v_l/P̄γ_l² + 2 v_t/P̄γ_t²)/(6π ħ²): phonons that TLS absorb resonantly, shape (n_T, …)."""
    paths = medium.longitudinal / longitudinal + 2 * medium.transverse / transverse
    return np.asarray(np.multiply.outer(medium.density * kT**2 / (6 * np.pi * medium.hbar**2), paths))


def _sech(x: Array) -> Array:
    return np.asarray(2 * np.exp(-np.abs(x)) / (1 + np.exp(-2 * np.abs(x))))
