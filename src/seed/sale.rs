//! One place for flash sales: a sale starts, its stock falls to nothing, and after a pause the next one starts.

use super::json::Object;
use super::record::Draft;
use super::rng::Rng;
use super::world::{SALES, degrees};

/// The sale that runs in one place, if one does.
#[derive(Clone, Debug)]
pub(super) struct Sale {
    number: usize,
    id: String,
    stock: Vec<(&'static str, i64, i64)>,
}

impl Sale {
    pub(super) fn before_first(place: usize) -> Self {
        Self { number: 101 + place, id: String::new(), stock: Vec::new() }
    }

    /// The next record, and whether the sale is over with it. `places` keeps the numbers of all places apart.
    pub(super) fn step(&mut self, rng: &mut Rng, places: usize, now: i64) -> (Draft, bool) {
        if self.stock.is_empty() {
            return (self.start(rng, places, now), false);
        }
        let index = rng.index(self.stock.len());
        let (product, left, total) = &mut self.stock[index];
        let (product, total) = (*product, *total);
        *left -= rng.between(1, 3).min(*left);
        let left = *left;
        if left == 0 {
            self.stock.remove(index);
        }
        let data = Object::new()
            .text("saleId", &self.id)
            .text("productId", product)
            .raw("stockRemaining", left)
            .raw("totalStock", total)
            .raw("percentageRemaining", degrees(left * 10_000 / total * 10_000));
        (Draft::new("promotion.stockUpdate", &self.id, data), self.stock.is_empty())
    }

    fn start(&mut self, rng: &mut Rng, places: usize, now: i64) -> Draft {
        let (title, description, category, products) = SALES[self.number % SALES.len()];
        self.id = format!("flash_sale_{}", self.number);
        self.number += places;
        self.stock = products.iter().map(|product| (*product, 120, 120)).collect();
        let mut data = Object::new()
            .text("id", &self.id)
            .text("title", title)
            .text("description", description)
            .raw("discount", rng.between(2, 12) * 5)
            .text("category", category)
            .time("endsAt", now + 10 * 60_000);
        if rng.percent(70) {
            data = data.text("imageUrl", &format!("https://img.example.com/sales/{category}.webp"));
        }
        Draft::new("promotion.flashSaleStarted", &self.id, data)
    }
}
