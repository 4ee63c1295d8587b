//! Who and what is in the marketplace before anything happens: people, shops, menus, homes. Drawn once from the seed.

use super::Profile;
use super::rng::Rng;

const FIRST_NAMES: &[&str] = &[
    "Aarav", "Aditi", "Aditya", "Ananya", "Arjun", "Bhavna", "Deepak", "Devika", "Divya", "Farhan", "Gauri", "Harish",
    "Ishaan", "Ishita", "Kabir", "Karthik", "Kavya", "Lakshmi", "Manoj", "Meera", "Mohammed", "Nandini", "Neha",
    "Nikhil", "Pooja", "Pranav", "Priya", "Rahul", "Ravi", "Rohan", "Saanvi", "Sameer", "Sandeep", "Shreya", "Sneha",
    "Sunita", "Tanvi", "Varun", "Vikram", "Zoya",
];
const SURNAMES: &[&str] = &[
    "Agarwal",
    "Banerjee",
    "Bhat",
    "Chatterjee",
    "Desai",
    "Fernandes",
    "Gowda",
    "Gupta",
    "Iyer",
    "Jain",
    "Joshi",
    "Kapoor",
    "Khan",
    "Kulkarni",
    "Kumar",
    "Menon",
    "Mishra",
    "Nair",
    "Patel",
    "Pillai",
    "Rao",
    "Reddy",
    "Shah",
    "Sharma",
    "Shetty",
    "Singh",
    "Verma",
    "Yadav",
];
const SHOPS: &[&str] = &[
    "Sri Krishna Bhavan",
    "Café Añil",
    "Tandoor Junction",
    "The Filter Kaapi House",
    "Biryani Darbar",
    "Chaat Gali",
    "Malabar Spice Kitchen",
    "Punjabi Rasoi",
    "Idli Express",
    "Momo & More",
    "Green Leaf Organics",
    "Sweet Bengal",
    "Dakshin Thali",
    "Kathi Junction",
    "The Chai Room",
    "Coastal Curry",
];
const AREAS: &[&str] = &["Indiranagar", "Jayanagar", "Koramangala", "Malleshwaram", "Whitefield", "HSR Layout"];
/// Name, id, usual price in paise.
const DISHES: &[(&str, &str, i64)] = &[
    ("Masala dosa", "prd_masala_dosa", 11_000),
    ("Filter coffee", "prd_filter_coffee", 4_500),
    ("Paneer butter masala", "prd_paneer_butter", 28_950),
    ("Hyderabadi biryani", "prd_hyd_biryani", 32_999),
    ("Chole bhature", "prd_chole_bhature", 17_525),
    ("Idli vada combo", "prd_idli_vada", 9_000),
    ("Gulab jamun (2 pcs)", "prd_gulab_jamun", 7_550),
    ("Butter naan", "prd_butter_naan", 4_999),
    ("Dal makhani", "prd_dal_makhani", 24_900),
    ("Veg momos", "prd_veg_momos", 13_975),
    ("Pani puri", "prd_pani_puri", 6_000),
    ("Malabar fish curry", "prd_fish_curry", 38_050),
    ("Mango lassi", "prd_mango_lassi", 8_825),
    ("Kaju katli 250 g", "prd_kaju_katli", 31_000),
];
/// Title, description, category, and the products on sale.
pub(super) const SALES: &[(&str, &str, &str, &[&str])] = &[
    (
        "Mithai Madness",
        "Festive sweets at half the price while stocks last",
        "sweets",
        &["prd_kaju_katli", "prd_gulab_jamun"],
    ),
    ("Biryani Hour", "Every biryani, one price, one hour", "food", &["prd_hyd_biryani"]),
    ("South Indian Breakfast", "Dosa, idli and coffee before ten", "food", &["prd_masala_dosa", "prd_idli_vada"]),
    ("Chai & Coffee Rush", "Your afternoon cup, 40 % off", "beverages", &["prd_filter_coffee", "prd_mango_lassi"]),
    ("Street Food Friday", "Chaat, momos and pani puri", "food", &["prd_pani_puri", "prd_veg_momos"]),
];

/// Degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// North positive.
    pub latitude: f64,
    /// East positive.
    pub longitude: f64,
}

/// A wallet in paise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wallet {
    pub(super) rez: i64,
    pub(super) branded: i64,
    pub(super) promo: i64,
}

/// A customer.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Id, as in a token's `sub`.
    pub id: String,
    /// First name: all that a merchant is told.
    pub name: String,
    /// E.164.
    pub phone: String,
    /// Where orders go.
    pub home: Place,
    pub(super) wallet: Wallet,
}

/// A merchant.
#[derive(Clone, Debug)]
pub struct Merchant {
    /// Id, as in a token's `merchant_ids`.
    pub id: String,
    /// The shop's name.
    pub name: String,
    /// Where orders start.
    pub place: Place,
    pub(super) menu: Vec<(&'static str, &'static str, i64)>,
}

/// A delivery partner.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Id, as in a token's `sub`.
    pub id: String,
    /// Full name.
    pub name: String,
    /// E.164.
    pub phone: String,
}

/// Everybody.
#[derive(Clone, Debug)]
pub struct World {
    /// All customers; the first is the demo's.
    pub customers: Vec<Customer>,
    /// All merchants; the first is the demo's.
    pub merchants: Vec<Merchant>,
    /// All delivery partners.
    pub partners: Vec<Partner>,
}

impl World {
    pub(super) fn new(rng: &mut Rng, profile: &Profile) -> Self {
        let customers = (0..profile.customers.max(1))
            .map(|n| Customer {
                id: format!("usr_{}", 10_000 + n),
                name: (*rng.pick(FIRST_NAMES)).to_owned(),
                phone: phone(rng, n),
                home: place(rng),
                wallet: Wallet {
                    rez: rng.between(5_000, 150_000),
                    branded: rng.between(0, 40_000),
                    promo: rng.between(0, 25_000),
                },
            })
            .collect();
        let merchants = (0..profile.merchants.max(1))
            .map(|n| {
                let shop = SHOPS[n % SHOPS.len()];
                let name = if n < SHOPS.len() { shop.to_owned() } else { format!("{shop}, {}", rng.pick(AREAS)) };
                let menu = (0..6).map(|_| *rng.pick(DISHES)).collect();
                Merchant { id: format!("mer_{}", 1_001 + n), name, place: place(rng), menu }
            })
            .collect();
        let partners = (0..profile.partners.max(1))
            .map(|n| Partner {
                id: format!("prt_{}", 301 + n),
                name: format!("{} {}", rng.pick(FIRST_NAMES), rng.pick(SURNAMES)),
                phone: phone(rng, n + 500_000),
            })
            .collect();
        Self { customers, merchants, partners }
    }
}

fn phone(rng: &mut Rng, n: usize) -> String {
    // Indian mobile numbers begin with 6 to 9; the running number keeps them apart.
    format!("+91{}{:02}{:07}", rng.between(6, 9), rng.below(100), (n * 7_919 + 1_234) % 10_000_000)
}

fn place(rng: &mut Rng) -> Place {
    // Within about six kilometres of the centre of Bengaluru.
    Place {
        latitude: degrees(rng.between(12_920_000, 13_020_000)),
        longitude: degrees(rng.between(77_540_000, 77_650_000)),
    }
}

/// Millionths of a degree as degrees: about a decimetre.
#[expect(clippy::cast_precision_loss, reason = "a degree in millionths has nine digits, a double holds fifteen")]
pub(super) fn degrees(millionths: i64) -> f64 {
    millionths as f64 / 1e6
}
